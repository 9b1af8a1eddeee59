"""What people type into the search box, understood or refused with the place and the next step.

red fox               both words, anywhere in the prompt, in any form of letters
"red fox"             in this order            fox*        words that begin so
-snow                 not                      fox OR owl  either; brackets group
model:sdxl lora:ink   fields; a value with spaces in quotes: tag:"hero shot"
rating:>=3 steps:<20  comparisons, where a field has an order
is:all                also what was overwritten, and signed or exported copies
"""

from __future__ import annotations

import re
from typing import assert_never

from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.foundation.texts import storable
from memoryd.search.facts import All, Any, Compare, Filter, Not, Part, Query, Term
from memoryd.search.fields import FIELDS

QUERY_LIMIT = 4_000
"""Characters of a query."""

TERMS_LIMIT = 100
"""Words and filters of a query."""

DEPTH_LIMIT = 20
"""Brackets inside brackets."""

_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):")
_BARE = re.compile(r'[^\s()"]+')
_QUOTED = re.compile(r'"([^"]*)"')
_COMPARE = re.compile(r">=|<=|>|<")
_OR = re.compile(r'OR(?=[\s()"]|$)')
_SPACE = re.compile(r"\s*")


class QueryNotUnderstood(NotAcceptable):
    """This search cannot be understood."""


class QueryTooLarge(TooLarge):
    """This search is too long."""


def parse(text: str) -> Query:
    """Return the search that a text means.

    Raises: QueryNotUnderstood, whose `position` (from 0) says where, and whose hint says what would be; QueryTooLarge.
    """
    if len(text) > QUERY_LIMIT:
        raise QueryTooLarge(f"{len(text)} characters", hint=f"at most {QUERY_LIMIT} (QUERY_LIMIT)")
    reading = _Reading(storable(text)[0])
    part = reading.alternatives(0)
    if reading.place < len(reading.text):
        raise reading.fault("there is no bracket to close here", 'put it in quotes to search for it: ")"')
    return Query(part=part, everything=_asks_for_all(part))


class _Reading:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.terms = 0
        self._skip()

    def _skip(self) -> None:
        space = _SPACE.match(self.text, self.place)
        assert space is not None
        self.place = space.end()

    def fault(self, detail: str, hint: str, place: int | None = None) -> QueryNotUnderstood:
        at = self.place if place is None else place
        return QueryNotUnderstood(f"at character {at + 1}: {detail}", hint=hint, position=at)

    def alternatives(self, depth: int) -> Part | None:
        if depth > DEPTH_LIMIT:
            raise self.fault("too many brackets inside brackets", f"at most {DEPTH_LIMIT} (DEPTH_LIMIT)")
        parts = [self._together(depth)]
        while word := _OR.match(self.text, self.place):
            before = self.place
            self.place = word.end()
            self._skip()
            parts.append(self._together(depth))
            if parts[-1] is None or parts[-2] is None:
                raise self.fault("OR needs something on both sides", 'fox OR owl; in quotes it is a word: "or"', before)
        return _joined(Any, parts)

    def _together(self, depth: int) -> Part | None:
        parts: list[Part | None] = []
        while self.place < len(self.text) and self.text[self.place] != ")" and not _OR.match(self.text, self.place):
            parts.append(self._one(depth))
            self._skip()
        return _joined(All, parts)

    def _one(self, depth: int) -> Part | None:
        start = self.place
        negations = 0
        while self.text.startswith("-", self.place):
            negations += 1
            self.place += 1
        if self.place >= len(self.text) or self.text[self.place].isspace() or self.text[self.place] == ")":
            if negations:
                return None  # A dash that stands alone, as between two clauses of a sentence, asks for nothing.
            raise self.fault("nothing to search for", "type words, or a field such as model:sdxl")
        part = self._bracket(depth) if self.text[self.place] == "(" else self._term(start)
        return Not(part=part) if part is not None and negations % 2 else part

    def _bracket(self, depth: int) -> Part | None:
        start = self.place
        self.place += 1
        self._skip()
        part = self.alternatives(depth + 1)
        if not self.text.startswith(")", self.place):
            raise self.fault("this bracket is never closed", "close it with )", start)
        self.place += 1
        return part

    def _term(self, start: int) -> Part:
        self.terms += 1
        if self.terms > TERMS_LIMIT:
            raise self.fault("too many words", f"at most {TERMS_LIMIT} words and filters (TERMS_LIMIT)")
        if named := _FIELD.match(self.text, self.place):
            return self._filter(named, start)
        if self.text[self.place] == '"':
            return Term(text=self._quoted(), phrase=True, place=start)
        text = self._bare()
        begins = text.rstrip("*")
        prefix = begins not in ("", text)
        return Term(text=begins if prefix else text, prefix=prefix, place=start)

    def _filter(self, named: re.Match[str], start: int) -> Filter:
        name = named[1].lower()
        field = FIELDS.get(name)
        if field is None:
            known = ", ".join(FIELDS)
            raise self.fault(f"there is no field {name!r}", f"fields are {known}; in quotes it is a word")
        self.place = named.end()
        compare = Compare.IS
        if sign := _COMPARE.match(self.text, self.place):
            if not field.ordered:
                raise self.fault(f"{name} has no order", f"{name}: takes {field.looks}")
            compare = Compare(sign[0])
            self.place = sign.end()
        at = self.place
        value = self._value(name, field.looks)
        if not field.takes(value):
            raise self.fault(f"{value[:80]!r} is no value of {name}", f"{name}: takes {field.looks}", at)
        return Filter(field=name, value=value, compare=compare, place=start)

    def _value(self, name: str, looks: str) -> str:
        if self.text.startswith('"', self.place):
            return self._quoted()
        if not _BARE.match(self.text, self.place):
            raise self.fault(f"{name} is compared with nothing", f"{name}: takes {looks}")
        return self._bare()

    def _quoted(self) -> str:
        quoted = _QUOTED.match(self.text, self.place)
        if quoted is None:
            raise self.fault("this quote is never closed", 'close it with "')
        self.place = quoted.end()
        return quoted[1]

    def _bare(self) -> str:
        bare = _BARE.match(self.text, self.place)
        assert bare is not None
        self.place = bare.end()
        return bare[0]


def _joined(kind: type[All] | type[Any], parts: list[Part | None]) -> Part | None:
    real = [part for part in parts if part is not None]
    flat: list[Part] = []
    for part in real:
        flat += part.parts if isinstance(part, kind) else [part]
    if len(flat) > 1:
        return kind(parts=tuple(flat))
    return flat[0] if flat else None


def _asks_for_all(part: Part | None) -> bool:
    match part:
        case Filter(field="is", value="all"):
            return True
        case Not(part=inner):
            return _asks_for_all(inner)
        case All(parts=parts) | Any(parts=parts):
            return any(_asks_for_all(one) for one in parts)
        case _:
            return False


def spell(query: Query) -> str:
    """Return the one spelling of a search: parsed again, it is the same."""
    return "" if query.part is None else _spelled(query.part, inside=False)


def _spelled(part: Part, *, inside: bool) -> str:
    match part:
        case Term(text=text, phrase=True):
            return f'"{text}"'
        case Term(text=text, prefix=prefix):
            return text + "*" * prefix
        case Filter(field=field, compare=compare, value=value):
            sign = "" if compare is Compare.IS else compare.value
            return f'{field}:{sign}"{value}"'
        case Not(part=Not() as inner):
            return f"-({_spelled(inner, inside=False)})"
        case Not(part=inner):
            return "-" + _spelled(inner, inside=True)
        case All(parts=parts):
            spelled = " ".join(_spelled(one, inside=True) for one in parts)
        case Any(parts=parts):
            spelled = " OR ".join(_spelled(one, inside=True) for one in parts)
        case _:
            assert_never(part)
    return f"({spelled})" if inside else spelled
