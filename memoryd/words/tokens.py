"""Words of a text, one way for documents and queries, and the text of a tsvector made of them.

Postgres' own parser is not used: it drops `<lora:foo:0.8>` from a document as a tag but finds three words of it in a
query, takes `out/x.png` and a run of Chinese for one word each, and does not fold full-width letters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

POSITION_LIMIT = 16_383
"""Highest position of a word. Source: Postgres 18, section 12.11 (Limitations)."""

POSITIONS_PER_WORD_LIMIT = 64
"""Positions kept of one word: phrases are found in them. Postgres keeps 255; a document needs less. Source: as above."""

LEXEME_BYTES_LIMIT = 2_046
"""Postgres refuses a longer lexeme ("word is too long"), with it the statement and so a whole batch. Source: as above."""

WORD_LIMIT = 120
"""Characters kept of one word: at most 480 bytes of UTF-8, well inside LEXEME_BYTES_LIMIT."""

TSVECTOR_BYTES_LIMIT = 800_000
"""Bytes of lexemes and positions together. Postgres refuses a tsvector of 1,048,575 bytes or more; we stop before."""

MARKS_REMEMBERED = 256
"""Sets of marks that are remembered as lexemes: pictures that are alike have the same."""

MARKS_REMEMBERED_LIMIT = 200
"""Marks of a set that is remembered."""

NAME_GAP = 1
"""Free positions between two runs, so that a phrase does not reach across."""

CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts written without spaces, as members of a character class: kana, Han, and Hangul with them."""

_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e30-\u0e3a\u0e47-\u0e4e"
    "\u0eb0-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3"
)
"""Vowel signs and accents that stand inside a word: Hebrew, Arabic, the scripts of India, Thai, Lao, Burmese, Khmer.

Python's `\\w` leaves them out, and would so break each word at every vowel."""

_TOKEN = re.compile(rf"<(lora|lyco|hypernet):([^:<>]{{1,500}})[^<>]{{0,500}}>|([{CJK}]+)|((?:[^\W_{CJK}]|[{_MARKS}])+)")
_PLAIN_WORD = re.compile(r"[0-9a-z]+")
_PART = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """Return the text as words are compared: lower case; full-width, ligatures and the like as their plain letters."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield words with their positions, from 1, in order of position.

    A run of Chinese, Japanese or Korean gives its pairs of characters and then its last character, so that any part of
    two or more characters is found as a phrase, and a single one by prefix. `<lora:style/ink:0.8>` gives
    `lora:style/ink` and, at the positions after it, the parts of its name. `best_quality` gives two words.
    """
    if text.isascii() and "<" not in text:
        # The same words as below, in a third of the time: most prompts are so.
        for position, word in enumerate(_PLAIN_WORD.findall(text.lower()), 1):
            yield word[:WORD_LIMIT], position
        return
    position = 0
    for match in _TOKEN.finditer(folded(text)):
        kind, name, run, word = match.groups()
        if word is not None:
            position += 1
            yield word[:WORD_LIMIT], position
        elif run is not None:
            for start in range(len(run) - 1):
                position += 1
                yield run[start : start + 2], position
            position += 1
            yield run[-1], position
            position += NAME_GAP
        else:
            position += 1
            yield f"{'lora' if kind == 'lyco' else kind}:{name.strip()}"[:WORD_LIMIT], position
            for part in _PART.findall(name):
                position += 1
                yield part[:WORD_LIMIT], position


def tsvector_text(prompt: str, negative: str = "", names: Iterable[str] = (), marks: Iterable[str] = ()) -> str:
    """Return the text form of a tsvector (`'fox':2 '-blurry' 'm:tiny'`), ready to be cast or copied.

    Words of `prompt` carry positions; words of `negative` have `-` before them and none; words of `names` are findable
    without positions; `marks` are lexemes as they are. What would pass a limit of Postgres is left out, the last first:
    POSITION_LIMIT, POSITIONS_PER_WORD_LIMIT, LEXEME_BYTES_LIMIT, TSVECTOR_BYTES_LIMIT. NUL never comes through.
    """
    given = tuple(marks)
    lexemes = _lexemes if len(given) <= MARKS_REMEMBERED_LIMIT else _lexemes.__wrapped__
    places: dict[str, list[int] | None] = dict(lexemes(given))
    for word, position in tokens(prompt):
        if position > POSITION_LIMIT:
            break
        known = places.setdefault(word, [])
        if known is not None and len(known) < POSITIONS_PER_WORD_LIMIT:
            known.append(position)
    for name in names:
        for word, _ in tokens(name):
            places.setdefault(word, None)
    for word, _ in tokens(negative):
        places.setdefault(f"-{word}", None)
    return " ".join(_spelled(places))


def plain_words(prompt: str) -> str | None:
    """Return what `tsvector_text` gives of a prompt alone, in half the time; None where it is not as plain as that."""
    if not prompt.isascii() or "<" in prompt:
        return None
    words = _PLAIN_WORD.findall(prompt.lower())
    if len(words) > POSITION_LIMIT:
        return None
    places: dict[str, str] = {}
    for position, word in enumerate(words, 1):
        places[word] = f"{places[word]},{position}" if word in places else str(position)
    if len(words) - len(places) >= POSITIONS_PER_WORD_LIMIT or any(map(WORD_LIMIT.__lt__, map(len, places))):
        return None
    return " ".join([f"'{word}':{at}" for word, at in places.items()])


@functools.lru_cache(MARKS_REMEMBERED)
def _lexemes(marks: tuple[str, ...]) -> dict[str, list[int] | None]:
    return dict.fromkeys(filter(None, map(_whole, marks)))


def _whole(mark: str) -> str:
    """A lexeme that Postgres takes: without what is no UTF-8 or NUL, within its bytes."""
    if len(mark) * 4 <= LEXEME_BYTES_LIMIT and mark.isascii() and "\x00" not in mark:
        return mark
    clean = mark.replace("\x00", "")
    return clean.encode("utf-8", "ignore")[:LEXEME_BYTES_LIMIT].decode("utf-8", "ignore")


def _spelled(places: dict[str, list[int] | None]) -> Iterator[str]:
    # Four bytes a character at most: most documents are so far below the limit that nothing need be counted.
    words = sum(map(len, places))
    positions = sum(map(len, filter(None, places.values())))
    if 4 * words + 2 * positions + 12 * len(places) <= TSVECTOR_BYTES_LIMIT:
        whole = "".join(places)
        if "'" in whole or "\\" in whole:
            yield from map(_one, places.items())
            return
        for word, at in places.items():
            yield (
                f"'{word}'" if not at else f"'{word}':{at[0]}" if len(at) == 1 else f"'{word}':{','.join(map(str, at))}"
            )
        return
    room = TSVECTOR_BYTES_LIMIT
    for entry in places.items():
        # Inside a tsvector: the lexeme, a count, and two bytes a position, aligned; 12 covers the entry and the rounding.
        room -= len(entry[0].encode("utf-8")) + 2 * len(entry[1] or ()) + 12
        if room < 0:
            return
        yield _one(entry)


def _one(entry: tuple[str, list[int] | None]) -> str:
    word, positions = entry
    if "'" in word or "\\" in word:
        word = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{word}':{','.join(map(str, positions))}" if positions else f"'{word}'"
