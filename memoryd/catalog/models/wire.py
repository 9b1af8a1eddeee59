"""The shapes of models with the runs that used them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from uuid import UUID

from memoryd.catalog.models.drifting import DriftUsed
from memoryd.catalog.models.uses import NAMED_RUNS, UseOfModel, Uses
from memoryd.model_registry.facts import ModelDetail, ModelView
from memoryd.model_registry.licensing.granting import shown_of
from memoryd.model_registry.licensing.terms import Grant, GrantSource
from memoryd.model_registry.provenance_wire import Shape
from memoryd.model_registry.wire import ModelDetailShape, ModelShape


class GrantedShape(Shape):
    """The licence that is granted to a model, and by what: the file, what lies beside it, its published hash, a person."""

    name: str
    source: GrantSource

    @classmethod
    def of(cls, grants: Iterable[Grant]) -> GrantedShape | None:
        """Return the grant that is shown first; None where nothing grants one: *unknown*, never *free*."""
        shown = shown_of(grants)
        return None if shown is None else cls(name=shown.name, source=shown.source)


class UsedModelShape(ModelShape):
    """A model, with how many of the caller's runs used it; `uses_more`: at least so many."""

    granted: GrantedShape | None
    uses: int
    uses_more: bool

    @classmethod
    def of_used(cls, model: ModelView, uses: Uses, grants: Iterable[Grant]) -> UsedModelShape:
        """Return the shape of a model in a list."""
        granted = GrantedShape.of(grants)
        return cls(**dict(ModelShape.of(model)), granted=granted, uses=uses.runs, uses_more=uses.more)


class UsedModelList(Shape):
    """A page of models."""

    items: list[UsedModelShape]
    next_cursor: str | None


class UsedModelDetailShape(ModelDetailShape):
    """A model with everything that is known, and how many of the caller's runs used it."""

    granted: GrantedShape | None
    uses: int
    uses_more: bool

    @classmethod
    def of_used(cls, detail: ModelDetail, uses: Uses, grants: Iterable[Grant]) -> UsedModelDetailShape:
        """Return the shape of a model with everything."""
        granted = GrantedShape.of(grants)
        return cls(**dict(ModelDetailShape.of_detail(detail)), granted=granted, uses=uses.runs, uses_more=uses.more)


class UseShape(Shape):
    """A run that used a model."""

    generation_id: UUID
    job_id: UUID | None
    project: str | None
    started_at: datetime.datetime | None
    recorded_at: datetime.datetime
    names: list[str]
    assets: list[UUID]

    @classmethod
    def of(cls, use: UseOfModel) -> UseShape:
        """Return the shape of a run."""
        return cls(
            generation_id=use.generation_id,
            job_id=use.job_id,
            project=use.project,
            started_at=use.started_at,
            recorded_at=use.recorded_at,
            names=list(use.names),
            assets=list(use.assets),
        )


class UseList(Shape):
    """A page of runs."""

    items: list[UseShape]
    next_cursor: str | None


class IntervalShape(Shape):
    """That a name had a content in a place; `seen_to` null: it has it now."""

    worker: str
    root: str
    seen_from: datetime.datetime
    seen_to: datetime.datetime | None


class DriftedContentShape(Shape):
    """One content of a name, and the caller's runs that used it by that name."""

    sha256: str
    intervals: list[IntervalShape]
    runs: int
    runs_more: bool
    first_run_at: datetime.datetime | None
    last_run_at: datetime.datetime | None


class DriftShape(Shape):
    """A name that had several contents."""

    folder: str
    path: str
    contents: list[DriftedContentShape]

    @classmethod
    def of(cls, used: DriftUsed) -> DriftShape:
        """Return the shape of a drifted name."""
        contents = []
        for content in used.drift.contents:
            made = used.runs.get(content.sha256)
            contents.append(
                DriftedContentShape(
                    sha256=content.sha256.hex(),
                    intervals=[
                        IntervalShape(worker=one.worker, root=one.root, seen_from=one.seen_from, seen_to=one.seen_to)
                        for one in content.intervals
                    ],
                    runs=0 if made is None else made.runs,
                    runs_more=made is not None and made.runs >= NAMED_RUNS,
                    first_run_at=None if made is None else made.first_at,
                    last_run_at=None if made is None else made.last_at,
                )
            )
        return cls(folder=used.drift.folder, path=used.drift.path, contents=contents)


class DriftList(Shape):
    """A page of drifted names."""

    items: list[DriftShape]
    next_cursor: str | None
