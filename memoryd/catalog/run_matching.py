"""Which run a record tells of: one run seen by a watcher and told by a worker is one generation. Pure.

A run is named by its run key. What a file says of itself (`file:` keys) may turn out to be a run that somebody watched:
then that run adopts it, in whichever order the two came, if both name the same exact graph and the same content.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from memoryd.catalog.facts import AssetRecord, GenerationOrigin, GenerationRecord

TOLD_BY_A_WITNESS = frozenset(
    {GenerationOrigin.JOB, GenerationOrigin.GATEWAY, GenerationOrigin.RECORDER, GenerationOrigin.HISTORY}
)
"""Origins that saw the run itself; a file only says what it was made by."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A generation that is recorded. `extracted_by` names the plugin and version behind a file's facts."""

    id: UUID
    run_key: str
    origin: GenerationOrigin
    exact: bytes | None
    extracted_by: str | None = None
    adopted_by: UUID | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What recording must do. `run_of` has one entry per record, None where it tells of no run.

    `new` are runs to insert; `replaced` those whose facts a newer reading replaces; `adopted` maps a file's run to the
    run that it turned out to be; `names` are run keys to remember for a run that is known under another.
    """

    run_of: tuple[UUID | None, ...]
    new: Mapping[str, tuple[UUID, int]]
    replaced: Mapping[UUID, int]
    adopted: Mapping[UUID, UUID]
    names: Mapping[str, tuple[UUID, UUID]]


def extracted_by(record: AssetRecord) -> str:
    """Return the name of the reading behind a record's facts."""
    return f"{record.plugin}/{record.plugin_version}"


class _Matching:
    def __init__(
        self, by_key: Mapping[str, KnownRun], of_asset: Mapping[bytes, Sequence[KnownRun]], make_id: Callable[[], UUID]
    ) -> None:
        self.by_key = dict(by_key)
        self.of_asset = {sha256: list(runs) for sha256, runs in of_asset.items()}
        self.make_id = make_id
        self.new: dict[str, tuple[UUID, int]] = {}
        self.replaced: dict[UUID, int] = {}
        self.adopted: dict[UUID, UUID] = {}
        self.names: dict[str, tuple[UUID, UUID]] = {}

    def match(self, index: int, record: AssetRecord, run: GenerationRecord, line: Sequence[KnownRun]) -> UUID:
        known = self.by_key.get(run.run_key)
        if known is not None:
            if known.adopted_by is not None:
                return known.adopted_by
            fresh = known.run_key in self.new
            if known.origin is GenerationOrigin.FILE and known.extracted_by != extracted_by(record) and not fresh:
                self.replaced[known.id] = index
        elif run.origin is GenerationOrigin.FILE and (same := self._same(record.sha256, run, line)) is not None:
            self.names[run.run_key] = (self.make_id(), same.id)
            self.by_key[run.run_key] = dataclasses.replace(same, adopted_by=same.id)
            return same.id
        else:
            known = KnownRun(
                id=self.make_id(),
                run_key=run.run_key,
                origin=run.origin,
                exact=run.exact,
                extracted_by=extracted_by(record),
            )
            self.new[run.run_key] = (known.id, index)
            self.by_key[run.run_key] = known
        runs = self.of_asset.setdefault(record.sha256, [])
        if run.origin in TOLD_BY_A_WITNESS and run.exact is not None:
            for other in [other for other in runs if other.id != known.id and _adoptable(other, run)]:
                runs.remove(other)
                self.adopted[other.id] = known.id
                self.by_key[other.run_key] = dataclasses.replace(other, adopted_by=known.id)
        if all(other.id != known.id for other in runs):
            runs.append(known)
        return known.id

    def _same(self, sha256: bytes, run: GenerationRecord, line: Sequence[KnownRun]) -> KnownRun | None:
        if run.exact is None:
            return None
        witnessed = (other for other in self.of_asset.get(sha256, ()) if other.origin in TOLD_BY_A_WITNESS)
        return next((other for other in (*witnessed, *line) if other.exact == run.exact), None)


def _adoptable(other: KnownRun, run: GenerationRecord) -> bool:
    return other.origin is GenerationOrigin.FILE and other.exact == run.exact


def match_runs(
    records: Sequence[AssetRecord],
    *,
    by_key: Mapping[str, KnownRun],
    of_asset: Mapping[bytes, Sequence[KnownRun]],
    of_line: Mapping[bytes, Sequence[KnownRun]],
    make_id: Callable[[], UUID],
) -> Matched:
    """Return which run each record tells of, and what must be written.

    `by_key` are the recorded runs under the records' run keys; `of_asset` those that an asset is already an output of;
    `of_line`, for our own copies (disclosed, exported, re-encoded), those of the line: a copy is no run of its own.
    """
    matching = _Matching(by_key, of_asset, make_id)
    run_of: list[UUID | None] = [None] * len(records)
    # Witnesses first, so that a file in the same batch finds the run that it belongs to.
    order = sorted(
        range(len(records)),
        key=lambda i: (run := records[i].generation) is not None and run.origin not in TOLD_BY_A_WITNESS,
    )
    for index in order:
        record = records[index]
        if record.generation is not None:
            line = of_line.get(record.sha256, ())
            run_of[index] = matching.match(index, record, record.generation, line)
    return Matched(
        run_of=tuple(matching.adopted.get(run, run) if run is not None else None for run in run_of),
        new=matching.new,
        replaced=matching.replaced,
        adopted=matching.adopted,
        names=matching.names,
    )
