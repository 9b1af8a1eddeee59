"""What a job needs of a ComfyUI, whether the worker launched it or others use it too."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import Claimed
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import Unavailable
from memoryd.worker.event_line import EventLine
from memoryd.worker.server_link import ServerLink
from memoryd.worker.stopping import Stopping

LOOK_TIMEOUT_S = 5.0
"""How long a look at queue or history waits for an answer; a longer silence is judged, not waited for."""

_MIB = 2**20


class EngineEnded(Unavailable):
    """The ComfyUI that ran the job ended."""

    def __init__(self, detail: str, *, out_of_memory: bool) -> None:
        """`out_of_memory`: the machine's memory ran out, so that a bigger one may do."""
        super().__init__(detail, hint="the worker starts it again; its log is in the worker's state folder")
        self.out_of_memory = out_of_memory


class EngineHangs(Unavailable):
    """The ComfyUI that ran the job no longer answers."""


class EngineTaken(Unavailable):
    """Others use this ComfyUI now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that a run made, here. `sha256` is lower hex."""

    sha256: str
    size: int


class Engine(abc.ABC):
    """One ComfyUI. Used by one thread."""

    comfyui: ComfyClient
    line: EventLine
    away_limit_s: float
    """How long it may not answer during a run before the run is given up. One that we launched is judged by `check`."""
    has_cuda: bool = False
    """Whether its memory is worth asking for."""

    @property
    def generation(self) -> int:
        """Another number means that ComfyUI may be another one than before: restarted, changed."""
        return self.line.generation

    @abc.abstractmethod
    def come_up(self, stopping: Stopping) -> bool:
        """Wait until ComfyUI answers. Returns False when asked to end before it did."""

    @abc.abstractmethod
    def check(self) -> None:
        """Look whether ComfyUI still lives. Raises: EngineEnded, EngineHangs."""

    @abc.abstractmethod
    def wait_until_free(self, stopping: Stopping, limit_s: float) -> bool:
        """Wait until nobody else's run is in ComfyUI's queue. Returns whether it is so after `limit_s` at most.

        Raises: EngineDown, EngineTrouble.
        """

    @abc.abstractmethod
    def inputs(self, claimed: Claimed, link: ServerLink, *, fresh: bool) -> contextlib.AbstractContextManager[None]:
        """A block in which ComfyUI has the job's inputs under their own names, byte for byte.

        `fresh`: nothing of this job is running yet. Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown,
        EngineDown, EngineTrouble, NameLeavesFolder.
        """

    @abc.abstractmethod
    def fetch(self, file: OutputFile, target: Path) -> Fetched:
        """Bring a file of a run to `target`. Raises: EngineFileMissing, EngineDown, EngineTrouble, NameLeavesFolder."""

    @abc.abstractmethod
    def free(self, stopping: Stopping) -> None:
        """Drop ComfyUI's caches, but never under somebody else's run. Raises: EngineTaken, EngineDown, EngineTrouble."""

    @abc.abstractmethod
    def recover(self, reason: str) -> None:
        """Begin afresh after a run that left ComfyUI in doubt, as one without memory does."""

    @abc.abstractmethod
    def give_up_on_run(self, reason: str) -> None:
        """Do what can be done about a run of ours that was interrupted and does not stop."""

    @abc.abstractmethod
    def tidy(self, prompt_id: str) -> None:
        """Remove what a run left, once its result is the worker's own."""

    @abc.abstractmethod
    def restore(self, held: set[str]) -> None:
        """Put back what earlier jobs moved aside and could not put back; `held` are the jobs that still run."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of ComfyUI at the worker's end."""

    @abc.abstractmethod
    def heard(self) -> None:
        """ComfyUI answered, or told something."""

    def memory_in_use_mb(self) -> int | None:
        """Return what of the GPU's memory is in use now, by anybody; None where there is no CUDA device, or no answer."""
        try:
            devices = self.comfyui.system_stats(timeout_s=LOOK_TIMEOUT_S).get("devices")
        except (EngineDown, EngineTrouble):
            return None
        used = [_used(device) for device in devices] if isinstance(devices, list) else []
        known = [value for value in used if value is not None]
        return max(known) // _MIB if known else None


def _used(device: Json) -> int | None:
    if not isinstance(device, dict) or device.get("type") != "cuda":
        return None
    total, free = device.get("vram_total"), device.get("vram_free")
    return max(0, int(total - free)) if isinstance(total, (int, float)) and isinstance(free, (int, float)) else None
