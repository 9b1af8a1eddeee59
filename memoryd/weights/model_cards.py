"""The head of a model card, as Hugging Face writes it: names with texts or lists of texts, between two lines of dashes.

Only that much of YAML is read. Anchors, aliases, tags, merges and nested members are passed over, so that nothing can
refer to anything and no text can grow. Source: huggingface.co/docs/hub/model-cards; YAML 1.2, chapters 6 to 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HEAD_LIMIT = 65_536
"""Characters of the head; those with long `model-index` lists have 20,000."""
ENTRIES_LIMIT = 200
ITEMS_LIMIT = 200

_NAME = re.compile(r"^([A-Za-z_][A-Za-z0-9_-]{0,60}):(?:[ \t]+(.*))?$")
_ITEM = re.compile(r"^[ \t]*-[ \t]+(.*)$")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/", "0": "\ufffd", "r": "\r"}
_UNREAD = ("&", "*", "!", "|", ">", "{", "@", "`", "%", "?")
"""What a value begins with that is no plain text: anchors, aliases, tags, blocks, objects, reserved characters."""


def read_head(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return the entries of a model card's head, each as its texts; empty where the card has no head."""
    lines = text.removeprefix("\ufeff")[:HEAD_LIMIT].splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    try:
        end = next(number for number, line in enumerate(lines) if number and line.rstrip() in ("---", "..."))
    except StopIteration:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    name: str | None = None
    for line in lines[1:end]:
        entry = _NAME.match(line)
        if entry is not None and len(found) < ENTRIES_LIMIT:
            # Of two entries with one name neither is surer: the first stays, as nothing may be overwritten unseen.
            name = None if entry[1] in found else entry[1]
            if name is not None:
                found[name] = _texts((entry[2] or "").strip())
            continue
        item = _ITEM.match(line)
        if item is not None and name is not None and len(found[name]) < ITEMS_LIMIT:
            found[name] += _texts(item[1].strip(), within_list=True)
        elif line.strip() and not line[0].isspace() and not line.startswith("#"):
            name = None
    return {name: texts for name, texts in found.items() if texts}


def _texts(value: str, *, within_list: bool = False) -> tuple[str, ...]:
    if value.startswith("[") and not within_list:
        items = value[1:].partition("]")[0].split(",")[:ITEMS_LIMIT]
        return tuple(text for item in items for text in _texts(item.strip(), within_list=True))
    if value[:1] in ('"', "'"):
        return _quoted(value)
    plain = re.sub(r"(?:^|[ \t])#.*$", "", value).strip()
    if not plain or plain.startswith((*_UNREAD, "[")) or plain in ("null", "~") or (within_list and _is_member(plain)):
        return ()
    return (plain,)


def _is_member(plain: str) -> bool:
    return plain.endswith(":") or ": " in plain


def _quoted(value: str) -> tuple[str, ...]:
    if value[0] == "'":
        found = re.match(r"'((?:[^']|'')*)'", value)
        return () if found is None or not found[1] else (found[1].replace("''", "'"),)
    found = re.match(r'"((?:[^"\\]|\\.)*)"', value)
    if found is None or not found[1]:
        return ()
    return (re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], "\ufffd"), found[1]),)
