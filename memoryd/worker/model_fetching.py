"""Models that a job pins and this machine lacks, brought from the server's store before the worker says that it cannot.

What arrived stays through any crash and is gone on with; it gets its name only after all of it was read back and has its
hash. Another worker that sees the same folder and fetches the same is waited for. Beyond its limit on disk a worker removes
what it pulled and was used longest ago: never what a run uses, nor what approved pictures hold, nor anything else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from uuid import UUID

from memoryd.dispatch.fetch_wire import HeldRequest, ModelOffered, ModelsAsked, ModelsOffered
from memoryd.dispatch.wire import Pin
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.logging import log_for
from memoryd.foundation.sizes import show_gigabytes
from memoryd.weights.hashing import hash_file
from memoryd.worker.leases import Lease
from memoryd.worker.pulled_models import Kept, Pulled, hold, let_go, list_kept, wait_a_moment
from memoryd.worker.run_follower import Stopped, StopReason
from memoryd.worker.server_link import CallRefused, ServerDown, ServerLink
from memoryd.worker.stopping import Stopping

SPARE = 1024**3
"""Bytes of the disk that stay free: ComfyUI writes too."""

DEADLINE_SHARE = 0.8
"""How much of a job's time fetching may take; then it is given back uncounted, and the next claim goes on."""

TELL_EVERY_S = 0.5
PAUSE_FIRST_S = 0.5
PAUSE_LAST_S = 10.0
"""Between tries while the server does not answer: doubled from the first to the last."""

HELD_LIMIT = 1_000
"""Models that one question about holds names."""
_SHOWN = 16

_log = log_for(__name__)


class NotFetched(Unavailable):
    """A model cannot be brought to this machine."""


class FetchingUnfinished(Unavailable):
    """A model did not arrive in the time that the job has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How a worker fetches: bytes per second, and bytes on disk of all it pulled; None is no limit."""

    bandwidth: int | None = None
    room: int | None = None


NO_LIMITS = FetchLimits()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was brought, (folder, name) -> where it lies and its SHA-256 (hex), and why the rest was not."""

    models: Mapping[tuple[str, str], tuple[Path, str]]
    reasons: Mapping[tuple[str, str], str]


class ModelFetching:
    """Fetches for one job, and keeps what it brought from being removed until its block ends. Used by one thread."""

    def __init__(self, link: ServerLink, limits: FetchLimits, lease: Lease, stopping: Stopping) -> None:
        """The job's time counts from here."""
        self._link = link
        self._limits = limits
        self._lease = lease
        self._stopping = stopping
        self._until = time.monotonic() + lease.claimed.deadline_s * DEADLINE_SHARE
        self._told_at = 0.0
        self._held = contextlib.ExitStack()

    def __enter__(self) -> ModelFetching:
        """Begin a job."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End a job: what was brought may be removed."""
        self._held.close()

    def fetch(self, pins: Sequence[Pin], directories: Mapping[str, tuple[Path, ...]]) -> Fetched:
        """Bring these models, as far as the store has them, into folders of their roles that ComfyUI looks at.

        Raises: Stopped, FetchingUnfinished, LeaseLost, KeyRefused.
        """
        self._lease.tell("asking for models")
        offered = self._offered(pins)
        models: dict[tuple[str, str], tuple[Path, str]] = {}
        reasons: dict[tuple[str, str], str] = {}
        offers = {(offer.folder, offer.name): offer for offer in offered.models} if offered is not None else {}
        for pin in pins:
            key = (pin.folder, pin.name)
            offer = offers.get(key)
            if offered is None or offer is None:
                reasons[key] = "the server's model store does not have it: `memoryd models push` brings it"
                continue
            try:
                path = self._bring(offer, offered.tenant, directories.get(pin.folder, ()), directories)
            except (NotFetched, OSError) as error:
                told = f"{error.detail}: {error.hint}" if isinstance(error, NotFetched) else str(error)
                reasons[key] = f"it was not fetched: {told}"
            else:
                models[key] = (path, offer.sha256)
        return Fetched(models=models, reasons=reasons)

    def _offered(self, pins: Sequence[Pin]) -> ModelsOffered | None:
        claimed = self._lease.claimed
        asked = ModelsAsked(job_id=claimed.job_id, fence=claimed.fence, token=claimed.token, pins=list(pins))
        pause = PAUSE_FIRST_S
        while True:
            self._check()
            try:
                return self._link.ask_for_models(asked)
            except CallRefused:
                # An older server, which has no store.
                return None
            except ServerDown as error:
                pause = self._wait_for_server(error, pause)

    def _bring(
        self, offer: ModelOffered, tenant: UUID, own: Sequence[Path], directories: Mapping[str, tuple[Path, ...]]
    ) -> Path:
        """Return where a model lies, once it does. Raises: NotFetched, OSError."""
        present = [directory for directory in own if directory.is_dir()]
        for directory in present:
            pulled = Pulled(directory=directory, tenant=tenant, sha256=offer.sha256)
            if self._hold(pulled):
                return pulled.path
        writable = next((one for one in present if os.access(one, os.W_OK)), None)
        if writable is None:
            raise NotFetched(
                f"no folder of {offer.folder} that ComfyUI names can be written to",
                hint="let the worker write to one of them",
            )
        pulled = Pulled(directory=writable, tenant=tenant, sha256=offer.sha256)
        every = list(dict.fromkeys(one for some in directories.values() for one in some))
        while not self._hold(pulled):
            with pulled.locked(lambda: self._wait_for_colleague(pulled, offer)):
                if not pulled.is_there():
                    self._make_room(pulled, offer, every)
                    self._download(pulled, offer)
        return pulled.path

    def _hold(self, pulled: Pulled) -> bool:
        lock = hold(pulled)
        if lock is not None:
            self._held.enter_context(lock)
        return lock is not None

    def _download(self, pulled: Pulled, offer: ModelOffered) -> None:
        with contextlib.suppress(FileNotFoundError):
            # Something touched it since it was verified: it is read again, not believed.
            pulled.path.replace(pulled.part)
        while True:
            resumed = _size(pulled.part) > 0
            self._arrive(pulled, offer)
            done = 0

            def told(count: int) -> None:
                nonlocal done
                done += count
                self._check()
                self._tell("checking model", done, offer.size)

            found = hash_file(pulled.part, on_bytes=told).sha256.hex()
            if found == offer.sha256:
                pulled.note_verified()
                _log.info("%s/%s was fetched: %d bytes", offer.folder, offer.name, offer.size)
                return
            pulled.part.unlink()
            if not resumed:
                raise NotFetched(
                    f"what the server sent as {offer.sha256[:_SHOWN]}… is {found[:_SHOWN]}…, and was removed",
                    hint="the server's model store is damaged: `memoryd models discard`, then push it again",
                )

    def _arrive(self, pulled: Pulled, offer: ModelOffered) -> None:
        """Return when all the bytes are there, unchecked. Raises: NotFetched, LeaseLost."""
        if _size(pulled.part) > offer.size:
            pulled.part.unlink()
        pause = PAUSE_FIRST_S
        while (present := _size(pulled.part)) < offer.size or not pulled.part.exists():
            self._check()
            try:
                with self._link.open_model(self._lease.claimed, offer.sha256, present) as (first, chunks):
                    self._write(pulled.part, first, chunks, offer)
                pause = PAUSE_FIRST_S
            except ServerDown as error:
                pause = self._wait_for_server(error, pause)
            except CallRefused as error:
                raise NotFetched(error.detail, hint=error.hint or "ask again") from error

    def _write(self, part: Path, first: int, chunks: Iterable[bytes], offer: ModelOffered) -> None:
        done, began = first, time.monotonic()
        with part.open("r+b" if first else "wb") as file:
            file.seek(first)
            for chunk in chunks:
                done += len(chunk)
                if done > offer.size:
                    raise NotFetched(f"more than {offer.size} bytes came", hint="the server's model store is damaged")
                file.write(chunk)
                self._check()
                self._tell("fetching model", done, offer.size)
                if self._limits.bandwidth is not None:
                    self._pause_until(began + (done - first) / self._limits.bandwidth, done, offer)

    def _pause_until(self, moment: float, done: int, offer: ModelOffered) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._check()
            self._tell("fetching model", done, offer.size)
            time.sleep(min(left, TELL_EVERY_S))

    def _make_room(self, pulled: Pulled, offer: ModelOffered, directories: Sequence[Path]) -> None:
        """Remove what was used longest ago, where limit or disk ask for it. Raises: NotFetched."""
        others = [kept for kept in list_kept(directories) if kept.pulled.path != pulled.path]
        room, missing = self._limits.room, offer.size - _size(pulled.part)
        over = sum(kept.size for kept in others) + offer.size - room if room is not None else 0
        over = max(over, missing + SPARE - shutil.disk_usage(pulled.directory).free)
        if over > 0 and (room is None or offer.size <= room):
            free_to_go = self._not_held(others)
            for kept in free_to_go:
                if over <= 0:
                    break
                over -= let_go(kept)
                _log.info("a pulled model left to make room: %s", kept.pulled.path)
        if over > 0:
            limit = f"--model-limit is {room} bytes" if room is not None else "the disk is full"
            raise NotFetched(
                f"{offer.size} bytes do not fit, {over} are missing; {limit}",
                hint="the rest is in use, held for approved pictures, or not memoryd's: make room, or raise the limit",
            )

    def _not_held(self, kept: Sequence[Kept]) -> list[Kept]:
        held: set[tuple[UUID, str]] = set()
        for tenant in {one.pulled.tenant for one in kept}:
            names = [one.pulled.sha256 for one in kept if one.pulled.tenant == tenant]
            for start in range(0, len(names), HELD_LIMIT):
                some = names[start : start + HELD_LIMIT]
                try:
                    held.update(
                        (tenant, one) for one in self._link.ask_for_held(HeldRequest(tenant=tenant, sha256s=some))
                    )
                except (CallRefused, ServerDown) as error:
                    # Nothing leaves on a guess.
                    _log.warning("which models are held could not be asked: %s", error.detail)
                    held.update((tenant, one) for one in some)
        return [one for one in kept if (one.pulled.tenant, one.pulled.sha256) not in held]

    def _wait_for_colleague(self, pulled: Pulled, offer: ModelOffered) -> None:
        self._check()
        self._tell("waiting for a model that another worker fetches:", _size(pulled.part), offer.size)
        wait_a_moment()

    def _wait_for_server(self, error: MemorydError, pause: float) -> float:
        _log.warning("%s; fetching goes on in %.1f s", error.detail, pause)
        if self._stopping.wait(pause):
            self._check()
        return min(pause * 2, PAUSE_LAST_S)

    def _tell(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self._lease.tell(f"{phase} {show_gigabytes(done, total)}")

    def _check(self) -> None:
        if self._lease.lost.is_set():
            raise Stopped(StopReason.LOST)
        if self._lease.cancelled.is_set():
            raise Stopped(StopReason.CANCELLED)
        if self._stopping.asked():
            # What arrived stays: nothing is gained by going on for the seconds that a run would get.
            raise Stopped(StopReason.DRAINED)
        if time.monotonic() > self._until:
            raise FetchingUnfinished(
                "a model of it did not arrive in the time that the job has", hint="what arrived is gone on with"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
