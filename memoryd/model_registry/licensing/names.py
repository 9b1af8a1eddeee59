"""From how a file or page states a licence, or a base, to the licence that is meant. A name nobody knows stays unknown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from memoryd.model_registry.licensing.terms import Confidence

NAME_LIMIT = 400
"""Characters of a stated name: a longer one is prose, or was cut, and what it goes on to say may be the opposite."""

BASE_LIMIT = 2_000
"""Characters of a stated base that are looked at."""

UNPLAIN = ""
"""The plain name of what is no plain name: no licence goes by it."""

_ADDRESS = re.compile(r"^https?://", re.IGNORECASE)
_BRANCH = re.compile(r"/(?:blob|resolve|raw|tree)/(?:main|master|head)/", re.IGNORECASE)
_OTHER = re.compile(r"[^\w+]+|_+")
_ENDINGS = re.compile(r"-(?:licen[cs]e|agreement|v)$")
_DOUBT = re.compile(r"[?!~*^<>\u00ac\u2026]")
_HIDDEN = frozenset(("Mn", "Me", "Cf", "Cc", "Co", "Cn", "Cs", "Sm"))
"""Kinds of characters that are not seen, strike others out, or deny: `MIT` struck through, `\u2260MIT`."""
_FILE = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pth|bin|gguf|onnx)$", re.IGNORECASE)


def plain_name(name: str) -> str:
    """Return a licence's name without what writers vary: case, spaces, punctuation, the word licence; of an address its path.

    `+` is kept: `openrail` and `openrail++` are two licences. UNPLAIN for what is too long to be a name, or holds marks of
    doubt or characters that are not seen: nobody can tell what was meant.
    """
    name = unicodedata.normalize("NFC", name.strip()[: NAME_LIMIT + 1])
    if len(name) > NAME_LIMIT or any(unicodedata.category(one) in _HIDDEN and one not in "+\t\n\r" for one in name):
        return UNPLAIN
    if _ADDRESS.match(name):
        address = _BRANCH.sub("/", _ADDRESS.sub("", name).split("?")[0].split("#")[0])
        return "url:" + address.casefold().removeprefix("www.").rstrip("/")
    if _DOUBT.search(name):
        return UNPLAIN
    plain = _OTHER.sub("-", name.casefold()).strip("-")
    plain = plain.removeprefix("licenseref-scancode-").removeprefix("licenseref-memoryd-").removeprefix("the-")
    while _ENDINGS.search(plain):
        plain = _ENDINGS.sub("", plain)
    return plain


def base_name(name: str) -> str:
    """Return how a base is called without its publisher, its ending and what writers vary."""
    last = name[:BASE_LIMIT].strip().replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return _OTHER.sub("-", _FILE.sub("", last).casefold()).strip("-")


def longest_beginning(name: str, known: Mapping[str, str]) -> str | None:
    """Return the longest of these plain names with which a base's plain name begins, word by word."""
    plain = base_name(name)
    words = plain.split("-")
    for count in range(len(words), 0, -1):
        beginning = "-".join(words[:count])
        if beginning in known:
            return beginning
    return None


def lower(first: Confidence, second: Confidence) -> Confidence:
    """Return the lower of two confidences."""
    order = list(Confidence)
    return max(first, second, key=order.index)


def known_names(documents: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Return the id of the licence for every plain name that these documents give theirs; the first one keeps a name."""
    known: dict[str, str] = {}
    for document in documents:
        id_, aliases = str(document["id"]), document.get("aliases", [])
        stated = [id_, document.get("title"), document.get("spdx"), document.get("url")]
        stated += aliases if isinstance(aliases, list) else []
        for name in stated:
            if isinstance(name, str) and (plain := plain_name(name)) != UNPLAIN:
                known.setdefault(plain, id_)
    return known
