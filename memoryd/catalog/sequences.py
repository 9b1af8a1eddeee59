"""Numbered frames of one run as one item.

Two rules, both of which would rather miss a sequence than make one item of different pictures:

- By name, where no run is known: `shot.0001.exr`, a name with its number set off by a dot (for EXR also by an underscore),
  in the same folder, of the same size and format.
- By run: pictures that one output node of one run saved with consecutive numbers, each of which shows nearly what the one
  before shows. A batch of four seeds has consecutive numbers too; its pictures differ.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import statistics
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.asset_view import SequenceView
from memoryd.catalog.queries import sequences as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId, new_id

SHOWN_FROM = 3
"""Frames from which a sequence is shown as one item: two numbered files are more often two versions."""

RUN_FRAMES = 8
"""Frames of a run from which they are taken for a film: batches of pictures are mostly four."""

STEP_MEDIAN, STEP_LIMIT = 24, 64
"""Bits of 256 between neighbouring frames: the median, and what a cut or a flash may reach in one step of ten.
Source: measured; siblings of one prompt and composition are 38 apart at least."""

TELLING_SHARE = 0.6
"""Of the steps of a film, those between two frames that show something."""

_BY_NAME = re.compile(rb"(?P<stem>.+?)(?P<by>[._])(?P<digits>\d{3,9})(?P<suffix>\.[A-Za-z0-9]{2,5})", re.DOTALL)
_ANY_NUMBER = re.compile(rb"(?P<stem>.*?)(?P<digits>\d{2,9})(?P<rest>_?\.[A-Za-z0-9]{2,5})", re.DOTALL)
_FILM_ONLY = (b".exr", b".dpx")
"""Formats in which nothing but frames is numbered."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    asset_id: UUID
    number: int
    name: str
    made_at: Any


Codes = Callable[[Collection[UUID]], Mapping[UUID, bytes | None]]
"""Gives the fingerprints of pictures: None for one that shows too little to tell, nothing for one that has none."""


def gather(session: Session, assets: Collection[AssetId], codes_of: Codes) -> None:
    """Find out which of these assets are frames of sequences, and record it. Done again it changes nothing."""
    rows = queries.list_named(session, assets)
    by_key: dict[bytes, list[_Frame]] = {}
    with_run = {row.asset_id for row in rows if row.has_run}
    for row in rows:
        if row.asset_id not in with_run and (found := _by_name(row)) is not None:
            key, frame = found
            by_key.setdefault(key, []).append(frame)
    for run in {(row.generation_id, row.node) for row in rows if row.has_run}:
        by_key.update(_of_run(session, *run, codes_of))
    for key in sorted(by_key):
        _keep(session, key, by_key[key])


def find_sequence(session: Session, asset_id: AssetId, sees: Sees) -> SequenceView | None:
    """Return the sequence that an asset is a frame of, None where it stands alone; `frames` are those one may see."""
    return find_sequences(session, [asset_id], sees).get(asset_id)


def find_sequences(session: Session, assets: Collection[AssetId], sees: Sees) -> Mapping[AssetId, SequenceView]:
    """Return the sequences that assets are frames of; those that stand alone are left out."""
    return {
        AssetId(row.asset_id): SequenceView(
            id=row.id,
            name=row.name,
            frames=row.seen,
            first=row.lowest,
            last=row.highest,
            first_id=AssetId(row.seen_first),
        )
        for row in queries.list_sequences_of(session, assets, sees)
        if row.seen >= SHOWN_FROM
    }


def list_frames(session: Session, sequence: UUID, sees: Sees) -> list[tuple[int, AssetId]]:
    """Return (number, asset) of a sequence's frames that the caller may see, in order."""
    return [(row.number, AssetId(row.asset_id)) for row in queries.list_frames(session, sequence, sees)]


def _by_name(row: Any) -> tuple[bytes, _Frame] | None:
    folder, _, name = row.path.rpartition(b"/")
    found = _BY_NAME.fullmatch(name)
    if found is None or (found["by"] == b"_" and found["suffix"].lower() not in _FILM_ONLY):
        return None
    key = _key(b"name", row.watch_root_id, folder, found["stem"], found["by"], found["suffix"].lower(), row)
    return key, _frame(row, found["digits"], found["stem"] + found["by"], found["suffix"])


def _of_run(session: Session, generation_id: UUID, node: str, codes_of: Codes) -> dict[bytes, list[_Frame]]:
    grouped: dict[bytes, list[tuple[_Frame, bytes | None]]] = {}
    rows = queries.list_outputs_named(session, generation_id, node)
    codes = codes_of([row.asset_id for row in rows]) if len(rows) >= RUN_FRAMES else {}
    for row in rows:
        folder, _, name = row.path.rpartition(b"/")
        found = _ANY_NUMBER.fullmatch(name)
        if found is None or row.asset_id not in codes:
            continue
        key = _key(b"run", generation_id, node.encode(), folder, found["stem"], found["rest"], row)
        grouped.setdefault(key, []).append(
            (_frame(row, found["digits"], found["stem"], found["rest"]), codes[row.asset_id])
        )
    films: dict[bytes, list[_Frame]] = {}
    for key, found_frames in grouped.items():
        ordered = sorted({frame.number: (frame, code) for frame, code in found_frames}.items())
        frames = [frame for _, (frame, _) in ordered]
        consecutive = len(frames) >= RUN_FRAMES and frames[-1].number - frames[0].number + 1 == len(frames)
        if consecutive and _moves_little([code for _, (_, code) in ordered]):
            films[key] = frames
    return films


def _moves_little(codes: list[bytes | None]) -> bool:
    """Tell whether neighbours show nearly the same. Flat frames (a fade from black) tell nothing; most must tell."""
    values = [None if code is None else int.from_bytes(code, "big") for code in codes]
    steps = [(a ^ b).bit_count() for a, b in itertools.pairwise(values) if a is not None and b is not None]
    if len(steps) < len(codes) * TELLING_SHARE:
        return False
    return statistics.median(steps) <= STEP_MEDIAN and sum(step > STEP_LIMIT for step in steps) <= len(steps) // 10


def _key(rule: bytes, *parts: Any) -> bytes:
    *named, row = parts
    digest = hashlib.sha256(rule)
    for part in (*named, row.media_type, row.width, row.height):
        spelled = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(spelled).to_bytes(4, "big") + spelled)
    return digest.digest()


def _frame(row: Any, digits: bytes, before: bytes, after: bytes) -> _Frame:
    folder, slash, _ = row.shown_path.rpartition("/")
    name = f"{before.decode('utf-8', 'replace')}{'#' * len(digits)}{after.decode('utf-8', 'replace')}"
    return _Frame(asset_id=row.asset_id, number=int(digits), name=f"{folder}{slash}{name}", made_at=row.made_at)


def _keep(session: Session, key: bytes, frames: list[_Frame]) -> None:
    one = min(frames, key=lambda frame: frame.number)
    sequence = queries.ensure_sequence(session, new_id(), key, one.name, one.asset_id, one.number, one.made_at)
    queries.upsert_members(session, sequence, {frame.asset_id: frame.number for frame in frames})
    queries.recount(session, sequence)
