"""What model files a folder has: listed, hashed and described, without a database. Works wherever the folder lies."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from memoryd.foundation.errors import NotFound
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.model_registry.facts import ModelFile, Observation, PresentName, ScanProgress
from memoryd.weights.describing import MODEL_SUFFIXES, ModelFacts, describe_model
from memoryd.weights.hashing import FileChanged, hash_file
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


BATCH_FILES = 25
BATCH_BYTES = 1024**3
"""What is hashed before it is recorded: so much at most is hashed again after a scan that was broken off."""


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
    findings: list[Finding] = []
    start = root if fixed_role is None else root / fixed_role
    files = [file for place in _walk(start, findings) if (file := _listed(place, root, findings)) is not None]
    # Large files last: a scan that is broken off has then recorded most names.
    files.sort(key=lambda file: (file.size, file.folder, file.path))
    return Survey(root=root, files=tuple(files), findings=tuple(findings))


def scan(
    files: Sequence[ModelFile],
    known: Mapping[tuple[str, str], PresentName],
    *,
    on_progress: Callable[[ScanProgress], None] | None = None,
) -> Iterator[Observation]:
    """Yield what each new or changed file holds; one whose size and time are as known is passed over.

    A file that cannot be read yields an observation without hash. Whatever `on_progress` raises ends the scan; what was
    yielded before can be kept, and the next scan goes on from there.
    """
    total, done = sum(file.size for file in files), 0

    def tell(count: int, index: int, file: ModelFile) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(
                ScanProgress(
                    files_total=len(files), files_done=index, bytes_total=total, bytes_done=done, current=file.path
                )
            )

    for index, file in enumerate(files):
        before = known.get((file.folder, file.path))
        same = before is not None and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
        if same and before is not None and before.sha256 is not None:
            tell(file.size, index + 1, file)
            continue
        begun = done
        yield _observe(file, lambda count, index=index, file=file: tell(count, index, file))  # type: ignore[misc]
        # What could not be read counts as done, too.
        tell(file.size - (done - begun), index + 1, file)


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


def _observe(file: ModelFile, on_bytes: Callable[[int], None]) -> Observation:
    name = PurePosixPath(file.folder) / file.path
    try:
        digest = hash_file(file.place, on_bytes=on_bytes)
        facts = describe_model(file.place, name)
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


def _walk(start: Path, findings: list[Finding]) -> Iterator[Path]:
    """Model files below a folder, links followed, each folder once."""
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        findings.append(Finding(code="folder-unreadable", detail=storable(str(error))[0]))

    for parent, folders, names in os.walk(start, onerror=refuse, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in MODEL_SUFFIXES:
                yield Path(parent) / name


def _listed(place: Path, root: Path, findings: list[Finding]) -> ModelFile | None:
    shown, replaced = storable(place.relative_to(root).as_posix())
    if replaced:
        findings.append(
            Finding(code="name-not-utf8", detail="the name is no UTF-8: shown as near as can be", where=shown)
        )
    if len(shown.encode()) + len(os.fsencode(root)) > NAME_LIMIT:
        detail = f"the name is longer than {NAME_LIMIT} bytes (NAME_LIMIT): not recorded"
        findings.append(Finding(code="name-too-long", detail=detail, where=shown[:200]))
        return None
    try:
        status = place.stat()
    except OSError as error:
        findings.append(Finding(code="model-unreadable", detail=storable(str(error))[0], where=shown))
        return None
    folder, separator, path = shown.partition("/")
    if not separator:
        folder, path = "", shown
    return ModelFile(folder=folder, path=path, place=place, size=status.st_size, mtime_ns=_kept(status.st_mtime_ns))
