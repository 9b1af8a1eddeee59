"""Errors, by what the person who meets one can do about it.

    MemorydError
    ├── NotRecognised   401  who are you?                     sign in, or send a key
    ├── NotAllowed      403  you may not do this              ask somebody who may
    ├── NotFound        404  no such thing (for you)          also another tenant's thing: existence is not disclosed
    ├── Conflict        409  not in the state it is in now    look again, then decide
    ├── NotAcceptable   422  this input cannot be used        change the input
    ├── TooLarge        413  beyond a named limit             send less, or raise the limit
    └── Unavailable     503  a part we need does not answer   wait, or start that part

A concrete error lives in its room, subclasses one category, and its docstring's first line is its title.
Expected outcomes are values, not errors. Source for the HTTP form: RFC 9457 (application/problem+json).
"""

from __future__ import annotations

import re
from typing import ClassVar


class MemorydError(Exception):
    """Something memoryd can explain."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, hint: str | None = None, **facts: object) -> None:
        """`detail` says what happened in this case, `hint` the next step, `facts` the named values involved."""
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.facts = facts

    @property
    def title(self) -> str:
        """The kind of error in one sentence: the first line of the class's docstring."""
        return (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]

    @property
    def slug(self) -> str:
        """The kind of error as a stable word for programs: `LeaseLost` becomes `lease-lost`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()


class NotRecognised(MemorydError):
    """The caller is not recognised."""

    status = 401
    exit_code = 3


class NotAllowed(MemorydError):
    """The caller may not do this."""

    status = 403
    exit_code = 4


class NotFound(MemorydError):
    """There is no such thing."""

    status = 404
    exit_code = 5


class Conflict(MemorydError):
    """This cannot be done in the present state."""

    status = 409
    exit_code = 6


class NotAcceptable(MemorydError):
    """This input cannot be used."""

    status = 422
    exit_code = 7


class TooLarge(MemorydError):
    """This is beyond a limit."""

    status = 413
    exit_code = 8


class Unavailable(MemorydError):
    """A part that is needed does not answer."""

    status = 503
    exit_code = 9


CATEGORIES: tuple[type[MemorydError], ...] = (
    NotRecognised,
    NotAllowed,
    NotFound,
    Conflict,
    NotAcceptable,
    TooLarge,
    Unavailable,
)
