"""The fields of the query language: what each may be compared with. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from memoryd.catalog.annotations import STARS_LIMIT
from memoryd.catalog.column_limits import INT4_LIMIT, SEED_LIMIT
from memoryd.catalog.facts import AssetKind
from memoryd.catalog.looking_up import PREFIX_DIGITS
from memoryd.foundation.ids import parse_id
from memoryd.search.dates import DATE_HINT, span
from memoryd.search.facts import Compare

_ANY_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_HEX_PREFIX = re.compile(rf"[0-9a-f]{{{PREFIX_DIGITS},64}}", re.IGNORECASE)
_SIZE = re.compile(r"\d{1,6}x\d{1,6}", re.IGNORECASE)
_FLAG = re.compile(r"[a-z][a-z0-9-]{0,39}")
_NODE = re.compile(r"(?P<class>.+)\.(?P<input>[^.<>=]+)(?P<compare>>=|<=|>|<|=)(?P<value>.+)", re.DOTALL)

HAS = frozenset({"note", "tag", "rating", "parents", "children", "thumbnail", "finding", "findings", "prompt"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field: whether a value is one of its, what its values look like, and whether it has an order."""

    takes: Callable[[str], bool]
    looks: str
    ordered: bool = False


def is_digest_prefix(text: str) -> bool:
    """Tell whether a text is the beginning of a SHA-256 in hex, long enough to mean one."""
    return _HEX_PREFIX.fullmatch(text) is not None


def node_condition(text: str) -> tuple[str, str, Compare, str] | None:
    """Return (class, input, comparison, value) of `KSampler.cfg>6`, or None where it is a class alone."""
    found = _NODE.fullmatch(text)
    if found is None:
        return None
    compare = Compare.IS if found["compare"] == "=" else Compare(found["compare"])
    return found["class"], found["input"], compare, found["value"]


def number(text: str) -> float | None:
    """Return the finite number that a text spells, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(limit: int) -> Callable[[str], bool]:
    return lambda text: text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= limit


def _word(text: str) -> bool:
    return bool(text.strip())


def _one_of(words: frozenset[str]) -> Callable[[str], bool]:
    return lambda text: text in words


def _node(text: str) -> bool:
    found = node_condition(text)
    return bool(text.strip()) and (found is None or found[2] is Compare.IS or number(found[3]) is not None)


def licence_word(text: str) -> str:
    """Return a licence's name as its mark spells it: `Apache 2.0` is `apache-2.0`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


_VERDICTS = frozenset({"allow", "review", "unknown", "block"})
"""Source: clearance.facts.Verdict."""

_KINDS = frozenset(kind.value for kind in AssetKind)
_NAME = Field(takes=_word, looks="a name or a part of one; `*` at the end for a beginning")
_DATE = Field(takes=lambda text: span(text, _ANY_TIME) is not None, looks=DATE_HINT)
_PIXELS = Field(takes=_whole(INT4_LIMIT), looks="a number of pixels", ordered=True)

FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field(takes=_word, looks="a model's name, a part of it, or 8 and more digits of its SHA-256"),
        "lora": _NAME,
        "vae": _NAME,
        "embedding": _NAME,
        "tool": Field(
            takes=_word, looks="who made it: comfyui, automatic1111, forge, invokeai, novelai, midjourney, …"
        ),
        "sampler": _NAME,
        "scheduler": _NAME,
        "input": _NAME,
        "negative": Field(takes=_word, looks="words of the negative prompt"),
        "project": Field(takes=_word, looks="a project's short name"),
        "person": Field(takes=_word, looks="a person's login"),
        "tag": Field(takes=_word, looks="a tag"),
        "collection": Field(takes=_word, looks="a collection's name"),
        "rating": Field(takes=_whole(STARS_LIMIT), looks=f"0 to {STARS_LIMIT} stars", ordered=True),
        "seed": Field(takes=_whole(SEED_LIMIT), looks="0 to 18446744073709551615"),
        "steps": Field(takes=_whole(INT4_LIMIT), looks="a number of steps", ordered=True),
        "cfg": Field(takes=lambda text: number(text) is not None, looks="a number", ordered=True),
        "width": _PIXELS,
        "height": _PIXELS,
        "size": Field(takes=lambda text: _SIZE.fullmatch(text) is not None, looks="1024x768"),
        "kind": Field(takes=_one_of(_KINDS), looks=", ".join(sorted(_KINDS))),
        "type": Field(takes=_word, looks="a media type: image/png"),
        "after": _DATE,
        "before": _DATE,
        "on": _DATE,
        "node": Field(takes=_node, looks="KSampler, or KSampler.cfg>6 (a number after < and >)"),
        "workflow": Field(takes=_word, looks="a workflow's name, or 8 and more digits of its identity"),
        "sha256": Field(takes=is_digest_prefix, looks=f"{PREFIX_DIGITS} to 64 hex digits"),
        "file": Field(takes=_word, looks="a file's name or a part of its path"),
        "job": Field(takes=lambda text: parse_id(text) is not None, looks="a job's id"),
        "verdict": Field(takes=_one_of(_VERDICTS), looks="allow, review, unknown, block"),
        "licence": Field(
            takes=lambda text: bool(licence_word(text)),
            looks="a licence's short name (`flux-1-dev-non-commercial`), its beginning with `*`, or unknown",
        ),
        "has": Field(takes=_one_of(HAS), looks=", ".join(sorted(HAS))),
        "is": Field(
            takes=lambda text: _FLAG.fullmatch(text) is not None,
            looks="approved, rejected, hidden, trashed, disclosed, finding, missing, all, or another mark",
        ),
    }
)
