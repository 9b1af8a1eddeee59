"""Enlargements over HTTP, as they are asked for and read."""

from __future__ import annotations

import datetime
import json
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.jobs import KEY_LIMIT
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.errors import NotAcceptable
from memoryd.reproduction.enlargements.facts import Answer, Enlargement, Fit, Larger, Method, Wish


class CropOrPad(NotAcceptable):
    """A picture is cropped or padded, not both."""


class EnlargementRequest(BaseModel):
    """How large, and how.

    `to`: a size (`3840x2160`), `4k`, `8k`, or a factor (`2x`). `by`: lanczos, bicubic, bilinear, area, nearest-exact, or
    `model`: an upscale model of the pool (`model`: which). `graph`: one's own instead, whose input `input` takes the
    original (by default its only one). Another shape is refused unless `crop` or `pad` (a colour, `#rrggbb`) says what is
    done. `render`: also where a larger copy is known.
    """

    to: str = Field(max_length=40)
    by: Method = Method.LANCZOS
    model: str | None = None
    graph: dict[str, Any] | str | None = None
    input: str | None = None
    crop: bool = False
    pad: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    render: bool = False
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    key: str | None = Field(default=None, max_length=KEY_LIMIT)
    """Idempotency key, where the header Idempotency-Key is not at hand."""

    def as_wish(self, key: str | None) -> Wish:
        """Return what is wished for. Raises: CropOrPad."""
        if self.crop and self.pad is not None:
            raise CropOrPad("both are named", hint="name one of them")
        return Wish(
            to=self.to,
            method=Method.MODEL if self.model is not None else self.by,
            model=self.model,
            graph=self.graph if self.graph is None or isinstance(self.graph, str) else json.dumps(self.graph),
            graph_input=self.input,
            fit=Fit.CROP if self.crop else Fit.PAD if self.pad is not None else Fit.SAME,
            colour=int(self.pad[1:], 16) if self.pad is not None else 0,
            render=self.render,
            pool=self.pool,
            urgency=self.urgency,
            key=key if key is not None else self.key,
        )


class LargerShape(BaseModel):
    """A larger copy that is known, and how it is related. `reaches`: as large as asked for."""

    asset_id: UUID
    sha256: str
    width: int
    height: int
    relation: str
    reaches: bool

    @classmethod
    def of(cls, larger: Larger) -> LargerShape:
        """The copy as it goes over the wire."""
        return cls(
            asset_id=larger.asset_id,
            sha256=larger.sha256.hex(),
            width=larger.width,
            height=larger.height,
            relation=larger.relation,
            reaches=larger.reaches,
        )


class EnlargementShape(BaseModel):
    """An enlargement. `outcome` null while it waits, runs or is compared; `enlarged`, or `not attempted` with `causes`.

    `measures`: `psnr` (decibels) and `ssim` of the result scaled back against the original; the greatest difference of a
    sample, `max_abs`, as a share of full scale.
    """

    id: UUID
    asset_id: UUID
    state: str
    outcome: Literal["enlarged", "not attempted"] | None
    plan: dict[str, Any]
    job_id: UUID | None
    made_asset_id: UUID | None
    measures: dict[str, Any]
    causes: list[dict[str, Any]]
    asked_at: datetime.datetime
    decided_at: datetime.datetime | None

    @classmethod
    def of(cls, enlargement: Enlargement) -> EnlargementShape:
        """The enlargement as it goes over the wire."""
        decided = enlargement.decided_at is not None
        return cls(
            id=enlargement.id,
            asset_id=enlargement.asset_id,
            state=enlargement.state.value,
            outcome=None if not decided else "not attempted" if enlargement.failed else "enlarged",
            plan=enlargement.plan,
            job_id=enlargement.job_id,
            made_asset_id=enlargement.made_asset_id,
            measures=enlargement.measures,
            causes=enlargement.causes,
            asked_at=enlargement.asked_at,
            decided_at=enlargement.decided_at,
        )


class EnlargementAnswer(BaseModel):
    """What came of a wish. `known`: the first of `larger` is the answer, and nothing was begun; `begun`: `enlargement` is."""

    answer: Literal["known", "begun"]
    larger: list[LargerShape]
    enlargement: EnlargementShape | None
    notes: list[str]

    @classmethod
    def of(cls, answer: Answer) -> EnlargementAnswer:
        """The answer as it goes over the wire."""
        begun = answer.enlargement
        return cls(
            answer="known" if begun is None else "begun",
            larger=[LargerShape.of(one) for one in answer.larger],
            enlargement=EnlargementShape.of(begun) if begun is not None else None,
            notes=list(answer.notes),
        )


class Enlargements(BaseModel):
    """The newest enlargements, newest first."""

    items: list[EnlargementShape]
