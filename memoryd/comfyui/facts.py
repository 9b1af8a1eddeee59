"""The values this room hands out."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from memoryd.comfyui.exhaustion import tells_of_exhaustion
from memoryd.foundation.canonical_json import Json

STAND_IN_MARK = "memoryd_stand_in"
"""The name under which our own stand-in engine says what it is: in /system_stats, and in the texts of what it painted."""
STAND_IN_PRETENDS = "memoryd_stand_in_pretends"
"""Members of an environment that a stand-in plays besides (threads, simd, torch), in /system_stats beside its mark."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A graph in ComfyUI's queue. `node_errors` is not empty where some outputs are invalid and the others run."""

    prompt_id: str
    number: float
    node_errors: Mapping[str, Json]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file that a run names. `output` is its key in the history (`images`, `audio`, `latents`, `3d`, …).

    `batch_index` counts the files of one node and key; `type` is `output`, `temp` or `input`.
    """

    node: str
    output: str
    batch_index: int
    filename: str
    subfolder: str
    type: str


class RunState(enum.StrEnum):
    """How a run ended, as its history says."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """What ComfyUI said about the node that failed. `exception` is the class's name; the traceback's lines follow."""

    node_id: str
    node_type: str
    exception: str
    message: str
    traceback: tuple[str, ...] = ()

    @property
    def out_of_memory(self) -> bool:
        """Whether memory was too small, the GPU's or the machine's: another pool may succeed."""
        return tells_of_exhaustion(self.exception, self.message)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A finished run, from its history entry. Times are milliseconds since 1970 by ComfyUI's clock, None if unsaid.

    `prompt` is the graph as ComfyUI took it (coerced, without `is_changed`); `cached_nodes` were not executed, as far as it
    `told_cached`: ComfyUI says so of each run, also where there are none; without a word of it nothing is proven.
    """

    prompt_id: str
    state: RunState
    outputs: tuple[OutputFile, ...]
    cached_nodes: tuple[str, ...]
    told_cached: bool
    started_ms: int | None
    ended_ms: int | None
    failure: RunFailure | None
    prompt: Mapping[str, Json]
    extra_data: Mapping[str, Json]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The ids that ComfyUI runs and keeps waiting."""

    running: tuple[str, ...]
    pending: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """Where ComfyUI put an upload. The name is another than asked for where that was taken by other content."""

    name: str
    subfolder: str
    type: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelListed:
    """A model file as ComfyUI lists it: name relative to one of the folder's directories, size in bytes.

    `path_index` says which directory of the folder it came from; `modified` is seconds since 1970.
    """

    folder: str
    name: str
    size: int | None = None
    modified: float | None = None
    path_index: int | None = None
