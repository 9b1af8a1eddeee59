"""What model files a folder has: listed, hashed and described, without a database. Works wherever the folder lies."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path, PurePosixPath

from memoryd.foundation.errors import NotFound
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.model_registry.facts import ModelFile, Observation, PresentName, ScanProgress
from memoryd.weights.describing import MODEL_SUFFIXES, ModelFacts, describe_model
from memoryd.weights.hashing import FileChanged, FileDigest, hash_file
from memoryd.weights.kinds import ModelKind

NAME_LIMIT = 1_500
"""Bytes of root, folder and path together: an index entry of Postgres holds 2,704. Source: nbtree, BTMaxItemSize."""

MTIME_LIMIT_NS = 8 * 10**18
"""Times of change are kept up to the year 2223; a file may claim any, and a bigint ends in 2262."""

ROLE_FOLDERS = frozenset(
    {
        "checkpoints",
        "configs",
        "loras",
        "vae",
        "text_encoders",
        "clip",
        "diffusion_models",
        "unet",
        "clip_vision",
        "style_models",
        "embeddings",
        "diffusers",
        "vae_approx",
        "controlnet",
        "t2i_adapter",
        "gligen",
        "upscale_models",
        "latent_upscale_models",
        "hypernetworks",
        "photomaker",
        "classifiers",
        "model_patches",
        "audio_encoders",
        "ipadapter",
        "instantid",
        "pulid",
        "animatediff_models",
        "animatediff_motion_lora",
        "ultralytics",
        "sams",
        "inpaint",
        "xlabs_loras",
        "xlabs_controlnets",
        "unet_gguf",
        "clip_gguf",
    }
)
"""Names that models folders have. Source: ComfyUI folder_paths.py and the packs in the loader table of `workflows`."""


BATCH_FILES = 250
BATCH_BYTES = 1024**3
"""What is hashed before it is recorded: so much at most, and the files that are being read, is hashed again after a scan
that was broken off. Half a digest cannot be kept: a file that was being read begins anew."""

STREAMS_LIMIT = 8
"""Files read at once, where there are as many cores: enough for a fast array, and few enough for one of disks."""
AHEAD = 2
"""Files per stream that may be finished before their turn to be told of comes."""
TELL_S = 0.1
"""Seconds between two messages about one large file."""


class ModelsFolderMissing(NotFound):
    """There is no such folder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The model files of a folder."""

    root: Path
    """The folder that roles lie below; may be another than was named."""
    files: tuple[ModelFile, ...]
    findings: tuple[Finding, ...]

    @property
    def root_name(self) -> str:
        """The root as it is recorded."""
        return storable(str(self.root))[0]


def this_machine() -> str:
    """Return the name by which this machine's folders are known."""
    return socket.gethostname() or "localhost"


def survey_folder(folder: Path) -> Survey:
    """Return the model files below a folder: a ComfyUI, its `models`, one of its roles, or any other folder.

    Links are followed, as ComfyUI does. Raises: ModelsFolderMissing.
    """
    if not folder.is_dir():
        raise ModelsFolderMissing(f"{folder} is no folder", hint="is the disk or share that it lies on connected?")
    root = folder.resolve()
    if not _has_roles(root) and _has_roles(root / "models"):
        root = root / "models"
    fixed_role = None
    if root.name in ROLE_FOLDERS and not _has_roles(root):
        # `models/loras` itself: the role is its own name.
        root, fixed_role = root.parent, root.name
    start = root if fixed_role is None else root / fixed_role
    files, findings = _walk(start, root)
    # Large files last: a scan that is broken off has then recorded most names.
    files.sort(key=lambda file: (file.size, file.folder, file.path))
    return Survey(root=root, files=tuple(files), findings=tuple(findings))


def scan(
    files: Sequence[ModelFile],
    known: Mapping[tuple[str, str], PresentName],
    *,
    on_progress: Callable[[ScanProgress], None] | None = None,
    streams: int | None = None,
    again: bool = False,
) -> Iterator[Observation]:
    """Yield what each new or changed file holds, in the order of the files; those as known are passed over.

    `streams` files are read at once. With `again` unchanged files are described anew, without being hashed: a sidecar
    may have changed. A file that cannot be read yields an observation without hash. Whatever `on_progress` raises ends
    the scan; what was yielded before can be kept, and the next scan goes on from there.
    """
    chosen: list[_Reading] = []
    for file in files:
        before = known.get((file.folder, file.path))
        same = before is not None and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
        sha256 = before.sha256 if before is not None and same else None
        if sha256 is None or again:
            chosen.append(_Reading(file, sha256))
    told = _Telling(files, chosen, on_progress)
    at_once = streams or min(STREAMS_LIMIT, os.cpu_count() or 1)
    stopped = threading.Event()
    running: deque[tuple[_Reading, Future[Observation]]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="model-hashing")
    try:
        waiting = iter(chosen)
        while True:
            for reading in islice(waiting, at_once * AHEAD - len(running)):
                running.append((reading, pool.submit(_observe, reading, stopped)))
            if not running:
                break
            reading, future = running[0]
            told.at(reading)
            while not future.done():
                wait((future,), timeout=TELL_S)
                told.at(reading)
            running.popleft()
            yield future.result()
            told.done(reading)
        told.all_done()
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def is_batch_full(batch: Sequence[Observation]) -> bool:
    """Tell whether it is time to record what was seen."""
    return len(batch) >= BATCH_FILES or sum(seen.size for seen in batch) >= BATCH_BYTES


def gone_names(survey: Survey, known: Mapping[tuple[str, str], PresentName], folder: Path) -> list[tuple[str, str]]:
    """Return the known names that are not there any more, below the folder that was scanned.

    Of a role's folder that is missing or empty none is: that is what a disk looks like that is not mounted (INV-8).
    """
    present = {(file.folder, file.path) for file in survey.files}
    scanned = folder.resolve()
    below = None if scanned == survey.root or survey.root.is_relative_to(scanned) else scanned.name
    missing = sorted(key for key in known if key not in present and (below is None or key[0] == below))
    there = {role: _has_entries(survey.root / role) for role in {role for role, _ in missing}}
    return [key for key in missing if there[key[0]]]


class _Broken(Exception):
    """The scan ends in the middle of a file."""


class _Reading:
    """A file that is to be read, and how much of it was. `sha256` is known of one that is described only."""

    __slots__ = ("file", "read", "sha256")

    def __init__(self, file: ModelFile, sha256: bytes | None) -> None:
        self.file, self.sha256, self.read = file, sha256, 0


class _Telling:
    """Tells how far a scan is. What could not be read counts as done, too."""

    def __init__(
        self, files: Sequence[ModelFile], chosen: Sequence[_Reading], on_progress: Callable[[ScanProgress], None] | None
    ) -> None:
        self._on_progress = on_progress
        self._total = sum(file.size for file in files)
        self._files, self._files_done = len(files), len(files) - len(chosen)
        self._bytes_done = self._total - sum(reading.file.size for reading in chosen)

    def at(self, reading: _Reading) -> None:
        self._tell(reading.file.path, self._bytes_done + min(reading.read, reading.file.size))

    def done(self, reading: _Reading) -> None:
        self._files_done += 1
        self._bytes_done += reading.file.size
        self._tell(reading.file.path, self._bytes_done)

    def all_done(self) -> None:
        self._tell("", self._bytes_done)

    def _tell(self, current: str, bytes_done: int) -> None:
        if self._on_progress is not None:
            progress = ScanProgress(
                files_total=self._files,
                files_done=self._files_done,
                bytes_total=self._total,
                bytes_done=bytes_done,
                current=current,
            )
            self._on_progress(progress)


def _observe(reading: _Reading, stopped: threading.Event) -> Observation:
    file = reading.file

    def count(chunk: int) -> None:
        reading.read += chunk
        if stopped.is_set():
            raise _Broken

    try:
        if reading.sha256 is not None:
            digest = FileDigest(sha256=reading.sha256, size=file.size, mtime_ns=file.mtime_ns)
        else:
            digest = hash_file(file.place, aliases=True, on_bytes=count)
        facts = describe_model(file.place, PurePosixPath(file.folder) / file.path, digest)
    except (OSError, FileChanged) as error:
        detail = storable(str(error))[0]
        finding = Finding(code="model-unreadable", detail=detail, where=storable(str(file.path))[0])
        unread = ModelFacts(kind=ModelKind.UNKNOWN, base=None, stated={}, licence=None, aliases={}, findings=(finding,))
        return Observation(
            folder=file.folder, path=file.path, size=file.size, mtime_ns=file.mtime_ns, sha256=None, facts=unread
        )
    return Observation(
        folder=file.folder,
        path=file.path,
        size=digest.size,
        mtime_ns=_kept(digest.mtime_ns),
        sha256=digest.sha256,
        facts=facts,
    )


def _kept(mtime_ns: int) -> int:
    return max(-MTIME_LIMIT_NS, min(mtime_ns, MTIME_LIMIT_NS))


def _has_entries(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _has_roles(folder: Path) -> bool:
    try:
        return any((folder / role).is_dir() for role in ROLE_FOLDERS)
    except OSError:
        return False


def _walk(start: Path, root: Path) -> tuple[list[ModelFile], list[Finding]]:
    """Model files below a folder, links followed, each folder once; one `stat` for a file."""
    files: list[ModelFile] = []
    findings: list[Finding] = []
    seen: set[tuple[int, int]] = set()
    root_text = os.fspath(root)
    cut, limit = len(root_text.rstrip(os.sep)) + 1, NAME_LIMIT - len(os.fsencode(root))
    folders = [os.fspath(start)]
    while folders:
        folder = folders.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116  # a hundred thousand Path objects are a second
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listed:
                entries = [entry for entry in listed if not entry.name.startswith(".")]
        except OSError as error:
            findings.append(Finding(code="folder-unreadable", detail=storable(str(error))[0]))
            continue
        below: list[str] = []
        for entry in entries:
            if _is_folder(entry):
                below.append(entry.path)
            elif entry.name[entry.name.rfind(".") :].lower() in MODEL_SUFFIXES:
                file = _listed(entry, entry.path[cut:], limit, findings)
                if file is not None:
                    files.append(file)
        folders += sorted(below, reverse=True)
    return files, findings


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _listed(entry: os.DirEntry[str], name: str, limit: int, findings: list[Finding]) -> ModelFile | None:
    shown, replaced = storable(name if os.sep == "/" else name.replace(os.sep, "/"))
    if replaced:
        findings.append(
            Finding(code="name-not-utf8", detail="the name is no UTF-8: shown as near as can be", where=shown)
        )
    if len(shown) > limit or len(shown.encode()) > limit:
        detail = f"the name is longer than {NAME_LIMIT} bytes (NAME_LIMIT): not recorded"
        findings.append(Finding(code="name-too-long", detail=detail, where=shown[:200]))
        return None
    try:
        status = entry.stat()
    except OSError as error:
        findings.append(Finding(code="model-unreadable", detail=storable(str(error))[0], where=shown))
        return None
    if not stat.S_ISREG(status.st_mode):
        # A pipe would be waited at for ever.
        findings.append(Finding(code="model-unreadable", detail="this is no file", where=shown))
        return None
    folder, separator, path = shown.partition("/")
    if not separator:
        folder, path = "", shown
    return ModelFile(
        folder=folder, path=path, where=entry.path, size=status.st_size, mtime_ns=_kept(status.st_mtime_ns)
    )
