"""From announced weights to a copy in the store: what is there already is not sent again, and nothing is kept unchecked."""

from __future__ import annotations

import dataclasses
import enum
import tempfile
import threading
import time
from pathlib import Path, PurePosixPath

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.foundation.texts import storable
from memoryd.model_registry import recording
from memoryd.model_registry.facts import Observation
from memoryd.model_registry.keeping import copies, queries
from memoryd.model_registry.keeping.facts import Announced, ModelCopy
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.growing import Growing, StillArriving
from memoryd.weights.describing import ModelFacts, describe_model

STORE_PLACE = "memoryd"
STORE_ROOT = "model store"
"""The place under which the registry knows the store's names: beside the machines' folders."""

SIZE_LIMIT = 512 * 1024**3
"""Bytes of one model: ten times the largest single files that people publish."""
FOLDER_LIMIT = 100
NAME_LIMIT = 400
"""Characters: NAME_MAX is 255 per part, and ComfyUI lists two or three parts."""

DIGITS = 64

CHECK_WAIT_S = 15.0
"""How long one request waits for the bytes to be read: a proxy gives up on silence after 30 s."""
_LOOK_S = 0.05


class BadCopyName(NotAcceptable):
    """A model cannot be called this."""


class Standing(enum.StrEnum):
    """Where a push stands."""

    WANTED = "wanted"  # bytes are to come, from the offset on
    CHECKING = "checking"  # all of it arrived and is being read
    STORED = "stored"  # it lies in the store


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushState:
    """Where a push stands; `offset` is how many bytes the server has."""

    standing: Standing
    offset: int


def announced(sha256: bytes, *, size: int, folder: str, name: str) -> Announced:
    """Return what is about to be pushed, with names that stay below their folder. Raises: BadCopyName."""
    clean = storable(name)[0].replace("\\", "/")
    role = storable(folder)[0]
    parts = PurePosixPath(clean)
    wrong = (
        not clean
        or len(clean) > NAME_LIMIT
        or parts.is_absolute()
        or clean.endswith("/")
        or any(part in ("", ".", "..") or part.startswith(".") for part in clean.split("/"))
        or any(ord(character) < 32 for character in name + folder)
    )
    if wrong:
        raise BadCopyName(f"{clean[:80]!r}", hint="a path below its folder, such as styles/ink.safetensors")
    if not role or len(role) > FOLDER_LIMIT or "/" in role or "\\" in role or role.startswith("."):
        raise BadCopyName(f"folder {role[:80]!r}", hint="checkpoints, loras, vae … as ComfyUI calls it")
    if not 0 < size <= SIZE_LIMIT:
        raise BadCopyName(f"{size} bytes", hint=f"1 to {SIZE_LIMIT} (SIZE_LIMIT)")
    return Announced(sha256=sha256, size=size, folder=role, name=clean)


def begin(session: Session, store: BlobStore, tenant: str, wanted: Announced) -> PushState:
    """Return what of announced weights the server has. Raises: DiskFull, BadBlobName."""
    copy = copies.find_copies(session, [wanted.sha256]).get(wanted.sha256)
    if copy is not None and store.exists(tenant, wanted.sha256):
        return PushState(standing=Standing.STORED, offset=copy.size)
    # Bytes that lie there for another reason are sent all the same: who names a hash has not shown that he has its bytes.
    growing = Growing(store=store, tenant=tenant, sha256=wanted.sha256)
    growing.begin(wanted.size)
    return PushState(
        standing=Standing.CHECKING if growing.size() >= wanted.size else Standing.WANTED, offset=growing.size()
    )


def check(store: BlobStore, tenant: str, wanted: Announced, *, wait_s: float = CHECK_WAIT_S) -> bool:
    """Have all bytes read and compared, outside of any transaction; return whether that ended in time. Ask again if not.

    Raises: BytesChanged, with nothing kept.
    """
    growing = Growing(store=store, tenant=tenant, sha256=wanted.sha256)
    checks = _running_check(growing)
    until = time.monotonic() + wait_s
    while checks.thread.is_alive() and time.monotonic() < until:
        checks.thread.join(_LOOK_S)
    if checks.thread.is_alive():
        return False
    with _lock:
        _checks.pop(growing.part, None)
    if isinstance(checks.error, StillArriving):
        # Another process of this server reads it.
        return growing.is_whole()
    if checks.error is not None:
        raise checks.error
    return True


def describe(store: BlobStore, tenant: str, wanted: Announced) -> ModelFacts:
    """Return what the checked bytes say of themselves. Raises: OSError."""
    growing = Growing(store=store, tenant=tenant, sha256=wanted.sha256)
    with tempfile.TemporaryDirectory() as folder:
        # The kind of a file is told by its ending too, and its folder by its place.
        place = Path(folder) / wanted.folder / PurePosixPath(wanted.name).name
        place.parent.mkdir()
        place.symlink_to(growing.whole.absolute())
        return describe_model(place, PurePosixPath(wanted.folder) / wanted.name)


def keep(session: Session, store: BlobStore, caller: Caller, wanted: Announced, facts: ModelFacts) -> ModelCopy:
    """Record checked bytes as a copy, and as a name of the registry; `forget_arrival` follows the commit.

    Raises: BytesChanged, BadModelName.
    """
    # From here to the commit nobody takes away bytes that are not listed yet.
    queries.lock_store(session)
    blob = Growing(store=store, tenant=caller.tenant.slug, sha256=wanted.sha256).adopt()
    seen = Observation(
        folder=wanted.folder,
        path=wanted.name,
        size=blob.size,
        mtime_ns=time.time_ns(),
        sha256=wanted.sha256,
        facts=facts,
    )
    recording.record_observations(session, caller, worker=STORE_PLACE, root=STORE_ROOT, observations=[seen])
    queries.upsert_copy(
        session,
        {
            "sha256": wanted.sha256,
            "size": blob.size,
            "folder": wanted.folder,
            "name": wanted.name,
            "pushed_by": caller.person_id,
        },
    )
    audit.note(
        session,
        caller,
        "model.push",
        f"model:{wanted.sha256.hex()}",
        {"folder": wanted.folder, "name": wanted.name, "size": blob.size},
    )
    return copies.find_copy(session, wanted.sha256)


def forget_arrival(store: BlobStore, tenant: str, sha256: bytes) -> None:
    """Forget that weights arrived: their record is committed."""
    Growing(store=store, tenant=tenant, sha256=sha256).settle()


def drop(session: Session, caller: Caller | None, sha256s: list[bytes], *, why: str) -> list[tuple[bytes, int]]:
    """Forget copies and their names in the store; return (SHA-256, bytes) of those there were.

    Their bytes are the caller's to take away once this is committed (`take_away`).
    """
    gone = queries.delete_copies(session, sha256s)
    if gone:
        names = [(row.folder, row.name) for row in gone]
        recording.record_observations(session, caller, worker=STORE_PLACE, root=STORE_ROOT, observations=[], gone=names)
    for row in gone:
        audit.note(
            session,
            caller,
            "model.discard",
            f"model:{row.sha256.hex()}",
            {"folder": row.folder, "name": row.name, "size": row.size, "why": why},
        )
    return [(bytes(row.sha256), int(row.size)) for row in gone]


def take_away(session: Session, store: BlobStore, tenant: str) -> int:
    """Remove the bytes of copies that are no longer listed, whoever dropped them; return how many. After the commit."""
    home = store.path(tenant, bytes(32)).parent.parent
    there = [bytes.fromhex(path.name) for path in home.glob("[0-9a-f][0-9a-f]/*") if len(path.name) == DIGITS]
    queries.lock_store(session)
    listed = copies.find_copies(session, there)
    return sum(store.remove(tenant, sha256) for sha256 in there if sha256 not in listed)


class _Check:
    """One reading of arrived bytes, in a thread of its own: many gigabytes take longer than a request may."""

    def __init__(self, growing: Growing) -> None:
        self._growing = growing
        self.error: MemorydError | OSError | None = None
        self.thread = threading.Thread(target=self._run, name="model-check", daemon=True)

    def _run(self) -> None:
        try:
            self._growing.check()
        except (MemorydError, OSError) as error:
            self.error = error


_lock = threading.Lock()
_checks: dict[Path, _Check] = {}


def _running_check(growing: Growing) -> _Check:
    with _lock:
        present = _checks.get(growing.part)
        if present is None:
            present = _checks[growing.part] = _Check(growing)
            present.thread.start()
        return present
