"""The values of this part: what is wished for, what is known already, and how an enlargement looks to people."""

from __future__ import annotations

import dataclasses
import datetime
import enum

from memoryd.dispatch.facts import Urgency
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.ids import AssetId, JobId, ReproductionId
from memoryd.imaging.scaling_back import Box
from memoryd.reproduction.facts import State

ANOTHER_PICTURE = (
    "an enlargement holds no detail that the original lacks, whatever an upscale model draws in; and rendering the graph at "
    "another size would be another picture, since the noise is drawn for the size"
)
"""What is said with every answer."""


FAR_SSIM = 0.8
"""Below this, a result that is scaled back is another picture, and is not said to be the original's, larger. Source:
measured on random pixels, where plain methods do worst: bilinear 0.98, the others 0.99 and more; random weights as an
upscale model 0.01, a negative less than 0."""


class Fit(enum.StrEnum):
    """What is done where the size asked for has another shape than the picture."""

    SAME = "same"
    """It is refused."""
    CROP = "crop"
    """The middle of the picture fills it; what stands over is cut off."""
    PAD = "pad"
    """All of the picture stands in its middle, between borders of one colour."""


class Method(enum.StrEnum):
    """How the built-in graphs enlarge. The first five are ComfyUI's ImageScale."""

    LANCZOS = "lanczos"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    AREA = "area"
    NEAREST = "nearest-exact"
    MODEL = "model"
    """An upscale model of the pool, and then to the exact size."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An enlargement as somebody asks for it.

    `to` is a size (`3840x2160`), `4k` or `8k`, or a factor (`2x`). `graph` is a prompt of one's own (API format, JSON
    text), whose input `graph_input` takes the original; None: its only LoadImage. `render`: also where a larger copy is
    known. `colour` of the borders is 0xRRGGBB.
    """

    to: str
    method: Method = Method.LANCZOS
    model: str | None = None
    graph: str | None = None
    graph_input: str | None = None
    fit: Fit = Fit.SAME
    colour: int = 0
    render: bool = False
    pool: str = DEFAULT_POOL
    urgency: Urgency = Urgency.STANDARD
    key: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a picture comes to stand in a size. `taken` is the part of it that is shown, `shown` where that stands."""

    width: int
    height: int
    fit: Fit
    taken: Box
    shown: Box


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Larger:
    """A larger copy that is known. `relation` says in words how it is related; `reaches`: it is as large as asked for."""

    asset_id: AssetId
    sha256: bytes
    width: int
    height: int
    relation: str
    reaches: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Enlargement:
    """An enlargement as recorded. `measures` are of the result scaled back against the original."""

    id: ReproductionId
    asset_id: AssetId
    state: State
    plan: dict[str, Json]
    job_id: JobId | None
    made_asset_id: AssetId | None
    failed: bool
    measures: dict[str, Json]
    causes: list[dict[str, Json]]
    asked_at: datetime.datetime
    decided_at: datetime.datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a wish: larger copies that are known, and the enlargement, None where one of them is the answer."""

    larger: tuple[Larger, ...]
    enlargement: Enlargement | None
    notes: tuple[str, ...]
