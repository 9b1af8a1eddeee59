"""The values that pass between the stand-in's nodes, and what it knows of a run."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from memoryd.foundation.canonical_json import Json

VERSION = "1"
"""The recipe of painting: another version may paint other pixels."""

Pixels: TypeAlias = "NDArray[np.float32]"
"""Pictures, batch x height x width x channels, 0 to 1."""

Recipe: TypeAlias = "tuple[Json, ...]"
"""What a value was made from, as JSON: equal recipes paint equal pictures."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Anything that is no picture: a model, a text's conditioning, noise, a sampler. Known by its recipe alone."""

    recipe: Recipe


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """A picture before it is painted. Sizes in pixels; `base` is what it was encoded from, kept by `1 - denoise`."""

    width: int
    height: int
    batch: int
    recipe: Recipe = ()
    base: Pixels | None = None
    strength: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """A file that a node wrote, as history and messages name it."""

    filename: str
    subfolder: str
    type: str

    def as_json(self) -> dict[str, Json]:
        """The file as ComfyUI spells it."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What one execution of a node gave: values by slot, and what it shows (None: nothing)."""

    values: tuple[object, ...]
    shown: dict[str, Json] | None = None


class RunEnd(enum.StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"


@dataclasses.dataclass(slots=True, kw_only=True)
class QueuedRun:
    """A run in the queue, under way, or in the history. `outputs` are the saving nodes to run."""

    number: float
    prompt_id: str
    prompt: dict[str, Json]
    extra_data: dict[str, Json]
    outputs: list[str]

    @property
    def client_id(self) -> str | None:
        """The socket that hears of this run, if its sender named one."""
        value = self.extra_data.get("client_id")
        return value if isinstance(value, str) else None

    def as_json(self) -> list[Json]:
        """The run as ComfyUI shows it in queue and history."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, list(self.outputs)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run in the history."""

    run: QueuedRun
    end: RunEnd
    outputs: dict[str, Json]
    meta: dict[str, Json]
    messages: list[Json]

    def as_json(self) -> dict[str, Json]:
        """The history entry."""
        success = self.end is RunEnd.SUCCESS
        return {
            "prompt": self.run.as_json(),
            "outputs": self.outputs,
            "status": {
                "status_str": "success" if success else "error",
                "completed": success,
                "messages": self.messages,
            },
            "meta": self.meta,
        }
