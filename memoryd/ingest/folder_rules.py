"""Whose a file is, told by its path below its root. Pure.

A pattern is a path of segments with `/` between them: `*` is any part of one name, `?` one character, `**` any number of
folders, `{project}` and `{person}` are (part of) a name that says whose it is. It is matched with the whole path of the
file. Rules are tried in order; the first that matches decides.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Sequence

from memoryd.catalog.facts import FolderRule
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.texts import storable

PATTERN_LIMIT = 512
"""Characters of a pattern."""

SEGMENTS_LIMIT = 32
"""Segments of a pattern. People's folders are nested in fewer than 20."""

WILDCARDS_LIMIT = 3
"""Wildcards and placeholders in one segment: matching one more with a name of 255 characters takes noticeable time."""

RULES_LIMIT = 100
"""Rules of one root."""

NAME_LIMIT = 200
"""Characters of a name that a path may say."""

_TOKEN = re.compile(r"\*+|\?|\{[^{}]*\}|[^*?{}]+|[{}]")
_PLACEHOLDERS = ("{project}", "{person}")


class BadRule(NotAcceptable):
    """This folder rule cannot be understood."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What the first matching rule says of a path: the names as given or as spelled in the path, and the rule's pattern."""

    project: str | None
    person: str | None
    rule: str


def checked_rules(rules: Sequence[FolderRule]) -> tuple[FolderRule, ...]:
    """Return the rules, each one understood. Raises: BadRule."""
    if len(rules) > RULES_LIMIT:
        raise BadRule(f"{len(rules)} rules", hint=f"at most {RULES_LIMIT} for one folder (RULES_LIMIT)")
    return tuple(_checked(rule) for rule in rules)


def _checked(rule: FolderRule) -> FolderRule:
    pattern = rule.pattern.replace("\\", "/").strip("/")
    segments = pattern.split("/")
    told = f"rule {rule.pattern[:80]!r}"
    if not pattern or len(pattern) > PATTERN_LIMIT or len(segments) > SEGMENTS_LIMIT or storable(pattern)[1]:
        raise BadRule(told, hint=f"1 to {PATTERN_LIMIT} characters, at most {SEGMENTS_LIMIT} segments")
    if any(segment in ("", ".", "..") for segment in segments):
        raise BadRule(told, hint="name folders below the watched one, with one `/` between them")
    tokens = [token for segment in segments if segment != "**" for token in _TOKEN.findall(segment)]
    for token in tokens:
        if token[0] in "{}" and token not in _PLACEHOLDERS:
            raise BadRule(f"{told}: {token}", hint="the placeholders are {project} and {person}")
        if token.startswith("**"):
            raise BadRule(told, hint="`**` stands alone between two `/`")
    if any(tokens.count(placeholder) > 1 for placeholder in _PLACEHOLDERS):
        raise BadRule(told, hint="each placeholder at most once")
    if any(sum(token[0] in "*?{" for token in _TOKEN.findall(segment)) > WILDCARDS_LIMIT for segment in segments):
        raise BadRule(told, hint=f"at most {WILDCARDS_LIMIT} wildcards or placeholders in one segment")
    says = rule.project or rule.person or any(token in _PLACEHOLDERS for token in tokens)
    if not says:
        raise BadRule(told, hint="say whose its files are: {project} or {person} in it, or a name beside it")
    return dataclasses.replace(rule, pattern=pattern, project=rule.project or None, person=rule.person or None)


def attribute(rules: Sequence[FolderRule], path: bytes) -> Attribution | None:
    """Return what the first rule that matches says of a path below the root; None where none matches."""
    if not rules:
        return None
    segments = tuple(path.decode("utf-8", "replace").split("/"))
    for rule in rules:
        said = _match(rule.pattern, segments)
        if said is not None:
            return Attribution(
                project=rule.project or said.get("project"), person=rule.person or said.get("person"), rule=rule.pattern
            )
    return None


def slug_of(name: str) -> str | None:
    """Return the project slug that a folder's name stands for (`Acme Inc.` is `acme-inc`); None where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_") or None


def _match(pattern: str, segments: tuple[str, ...]) -> dict[str, str] | None:
    """Return the placeholders' values where a pattern matches. A `**` takes as few folders as it can."""
    parts = _compiled(pattern)
    hopeless: set[tuple[int, int]] = set()

    def walk(at: int, place: int, said: dict[str, str]) -> dict[str, str] | None:
        if (at, place) in hopeless:
            return None
        if at == len(parts):
            return said if place == len(segments) else None
        part = parts[at]
        found: dict[str, str] | None = None
        if part is None:
            # At the pattern's end it stands for the file and whatever folders lead to it.
            if at == len(parts) - 1:
                return said if place < len(segments) else None
            for taken in range(place, len(segments)):
                found = walk(at + 1, taken, said)
                if found is not None:
                    return found
        elif place < len(segments) and (matched := part.fullmatch(segments[place])) is not None:
            found = walk(at + 1, place + 1, said | {k: v[:NAME_LIMIT] for k, v in matched.groupdict().items()})
        if found is None:
            hopeless.add((at, place))
        return found

    return walk(0, 0, {})


@functools.lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return one expression per segment; None is `**`."""
    return tuple(
        None if segment == "**" else re.compile("".join(map(_expression, _TOKEN.findall(segment))), re.DOTALL)
        for segment in pattern.split("/")
    )


def _expression(token: str) -> str:
    if token == "*":  # noqa: S105 - a pattern's token
        return ".*"
    if token == "?":  # noqa: S105 - a pattern's token
        return "."
    if token in _PLACEHOLDERS:
        return f"(?P<{token[1:-1]}>.+?)"
    return re.escape(token)
