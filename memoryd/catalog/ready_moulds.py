"""Rows of new files that are alike: spelled once, with places for what is each file's own.

Where the places are is not thought out but seen: a record is made rows as any other, with values in it that occur nowhere
else, and the rows are cut at these. That it holds for others is tried with a second record of quite different values.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from memoryd.catalog.alike_words import AlikeWords
from memoryd.catalog.column_limits import SEED_BYTES, shown
from memoryd.catalog.facts import AssetRecord, LocationRecord
from memoryd.catalog.ready_rows import ReadyAsset, ready_asset
from memoryd.foundation.copy_lines import copy_moment, copy_text
from memoryd.foundation.ids import new_id, new_ids
from memoryd.workflows.templates import Literal

_BETWEEN_ROWS = "\0"
_BETWEEN_ROWS_WRITTEN = _BETWEEN_ROWS.encode()

SHORTEST_PLACE = 6
"""Characters of a trial's value that rows are cut at: a shorter one may stand there by chance."""


class OwnFacts(NamedTuple):
    """What is a file's own: digests are 32 bytes, `documents` are its prompt's and those beside it; `output` is the digest
    of the output it is from."""

    sha256: bytes
    size: int
    made_at: datetime.datetime
    location: LocationRecord
    exact: bytes
    documents: tuple[bytes, ...]
    output: bytes | None
    values: Sequence[Literal]


class AssetMould:
    """Makes what `ready_asset` gives of records that are alike."""

    __slots__ = ("_constant", "_kept", "_pieces", "_words")

    def __init__(self, kept: ReadyAsset, words: AlikeWords, rows: Sequence[bytes], places: Sequence[str]) -> None:
        """`rows` are those of a trial whose own values are spelled as `places`; `kept` is what is no file's own."""
        self._kept = kept
        self._words = words
        # All rows in one text: no column holds a NUL.
        cut = _cut(_BETWEEN_ROWS.join([row.decode() for row in rows]), places)
        self._constant = tuple([piece for piece in cut if isinstance(piece, str)])
        after = itertools.count(len(places))
        self._pieces = itemgetter(*[next(after) if isinstance(piece, str) else piece for piece in cut])

    def filled(self, own: OwnFacts) -> ReadyAsset:
        """Return a file's rows."""
        return self.with_ids(own, new_ids(3))

    def with_ids(self, own: OwnFacts, ids: Sequence[bytes]) -> ReadyAsset:
        """Return a file's rows; `ids` are the asset's, its run's and its location's."""
        asset, run, location = ids
        texts = [*_places(own, ids, copy_text(self._words.filled(own.values))), *self._constant]
        kept = self._kept
        path = own.location.path
        return ReadyAsset(
            own.sha256,
            own.size,
            kept.kind,
            asset,
            run,
            f"file:{own.sha256.hex()}",
            (location,),
            ((kept.places[0][0], hashlib.sha256(path).digest()),),
            kept.project_id,
            own.made_at.timestamp(),
            kept.findings,
            kept.has_inputs,
            kept.models,
            tuple("".join(self._pieces(texts)).encode().split(_BETWEEN_ROWS_WRITTEN)),
        )


def asset_mould(trials: Sequence[tuple[AssetRecord, OwnFacts]], words: AlikeWords) -> AssetMould | None:
    """Return the mould of records of which these two are the trials; None where it would not make their rows."""
    made: list[tuple[ReadyAsset, OwnFacts]] = []
    mould: AssetMould | None = None
    for record, own in trials:
        ids = [new_id() for _ in range(3)]
        ready = ready_asset(record, _one_by_one(ids))
        if ready is None or len(ready.places) != 1 or ready.run_id is None or record.words != words.filled(own.values):
            return None
        named = [id_.bytes for id_ in ids]
        if mould is None:
            places = _places(own, named, copy_text(record.words))
            if len({*places}) < len(places) or min(map(len, filter(None, places))) < SHORTEST_PLACE:
                return None
            mould = AssetMould(ready, words, ready.rows, places)
        made.append((ready, own))
        if mould.with_ids(own, named) != ready:
            return None
    return mould


def _cut(text: str, places: Sequence[str]) -> list[int | str]:
    """The text with the numbers of the places that it is cut at, the longest first: one may stand in another."""
    found: list[int | str] = [text]
    for number in sorted(range(len(places)), key=lambda number: len(places[number]), reverse=True):
        spelled = places[number]
        if not spelled:
            break
        cut: list[int | str] = []
        for piece in found:
            if isinstance(piece, str) and spelled in piece:
                first, *others = piece.split(spelled)
                cut.append(first)
                for other in others:
                    cut += (number, other)
            else:
                cut.append(piece)
        found = cut
    return [piece for piece in found if piece != ""]


def _one_by_one(ids: Sequence[UUID]) -> Callable[[], UUID]:
    left: Iterator[UUID] = iter(ids)
    return lambda: next(left)


def _places(own: OwnFacts, ids: Sequence[bytes], words: str) -> list[str]:
    """All that is a file's own, as rows spell it."""
    place = own.location
    return [
        *[id_.hex() for id_ in ids],
        own.sha256.hex(),
        str(own.size),
        copy_moment(own.made_at),
        place.path.hex(),
        copy_text(shown(place.path)),
        str(place.mtime_ns),
        str(place.inode),
        str(place.device),
        own.exact.hex(),
        "" if own.output is None else own.output.hex(),
        words,
        *[document.hex() for document in own.documents],
        *[
            copy_text(value) if isinstance(value, str) else value.to_bytes(SEED_BYTES, "big").hex()
            for value in own.values
        ],
    ]
