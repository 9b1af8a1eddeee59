"""Model files under the names that a graph uses, for as long as its run lasts.

The graph is part of the file that it makes, so a name in it is never changed to suit a machine; the machine is suited to
the name. What is put there is a link in a folder that ComfyUI looks at, never over a file, noted on disk before it is
made, and taken away after the run, or at the next start of a worker that was killed.

Several workers may use one folder of models. Who needs a link says so in `.memoryd-links` beside it (ComfyUI lists weights
alone), and the last of them takes it away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from memoryd.comfyui.client import ComfyClient
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.logging import log_for

HOLDERS = ".memoryd-links"
"""The folder in which workers say which links they need."""

LISTED_LOOKS = 5
"""How often ComfyUI is asked whether it sees a link: it notices a changed folder by its time, which has a grain."""

LISTED_PAUSE_S = 0.05

_MADE = "made"
_log = log_for(__name__)


class NotLinked(Unavailable):
    """A model file cannot be put under the graph's name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file under a name: `content` is where it lies, `directories` those that ComfyUI looks at, the first before others."""

    folder: str
    name: str
    content: Path
    directories: tuple[Path, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What is noted on disk before a link is made. `holder` names the worker and the job."""

    directory: Path
    name: str
    content: Path
    holder: str

    @property
    def place(self) -> Path:
        """Where the link lies."""
        return self.directory / self.name

    @property
    def holders(self) -> Path:
        """Where those who need it say so."""
        return self.directory / HOLDERS / hashlib.sha256(os.fsencode(self.name)).hexdigest()[:32]


class ModelLinks:
    """The links of one worker. Used by one thread."""

    def __init__(self, home: Path) -> None:
        """`home` has one folder for each job that has links; it belongs to this worker alone."""
        self._home = home
        self._worker = hashlib.sha256(os.fsencode(str(home.absolute()))).hexdigest()[:16]

    @contextlib.contextmanager
    def made(self, comfyui: ComfyClient, wanted: Sequence[Wanted], job: str) -> Iterator[None]:
        """A block in which ComfyUI finds these files under these names; what an earlier start made for it goes too.

        Raises: NotLinked, with nothing left behind; EngineDown, EngineTrouble.
        """
        folder = self._home / job
        try:
            for number, one in enumerate(wanted):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _put(comfyui, one, folder / f"{number}.json", f"{self._worker}-{job}")
            yield
        finally:
            _take_away_all(folder)

    def restore(self, held: set[str]) -> None:
        """Take away what jobs that no longer run have left; `held` are the others, as `job-fence`."""
        if self._home.is_dir():
            for folder in sorted(self._home.iterdir()):
                if folder.name not in held:
                    _take_away_all(folder)


def _put(comfyui: ComfyClient, wanted: Wanted, note_file: Path, holder: str) -> None:
    reasons = []
    for directory in wanted.directories:
        if not directory.is_dir():
            continue
        note = _Note(directory=directory, name=_inside(wanted.name), content=wanted.content.resolve(), holder=holder)
        for way in (os.symlink, os.link):
            _write(note_file, note)
            try:
                _make(note, way)
            except OSError as error:
                _take_away(note)
                note_file.unlink()
                reasons.append(f"{directory}: {error.strerror or error}")
                if error.errno in (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EEXIST, errno.ENOTDIR):
                    break
                continue
            if _is_listed(comfyui, note, wanted.folder):
                _log.info("%s is linked as %s/%s for this run", note.content, wanted.folder, wanted.name)
                return
            _take_away(note)
            note_file.unlink()
            reasons.append(f"{directory}: ComfyUI does not see the link")
    raise NotLinked(
        f"{wanted.content} has the weights of {wanted.folder}/{wanted.name}, and cannot be linked under that name: "
        + ("; ".join(dict.fromkeys(reasons)) or "ComfyUI names no folder of this machine for it"),
        hint=f"put the file there as {wanted.name}, or let the worker write to a folder of {wanted.folder}",
    )


def _make(note: _Note, way: Callable[[Path, Path], None]) -> None:
    """Make a link, or share one that another worker has made. Raises: OSError; FileExistsError over anything else."""
    with _locked(note.directory):
        shared = note.holders.is_dir() and os.path.lexists(note.place) and note.place.samefile(note.content)
        if not shared and os.path.lexists(note.place):
            raise FileExistsError(errno.EEXIST, "another file has that name")
        missing = [parent for parent in note.place.parents if not parent.exists()]
        note.holders.mkdir(parents=True, exist_ok=True)
        (note.holders / note.holder).touch()
        if shared:
            return
        (note.holders / _MADE).write_text(json.dumps([os.fspath(parent) for parent in missing]))
        note.place.parent.mkdir(parents=True, exist_ok=True)
        way(note.content, note.place)
    _tell_changed(note.place.parent)


def _is_listed(comfyui: ComfyClient, note: _Note, folder: str) -> bool:
    for _ in range(LISTED_LOOKS):
        if note.name in comfyui.model_names(folder):
            return True
        _tell_changed(note.place.parent)
        time.sleep(LISTED_PAUSE_S)
    return False


def _take_away_all(folder: Path) -> None:
    """Take away a job's links; what cannot be reached now stays noted, for the next start."""
    left = False
    for file in sorted(folder.glob("*.json")):
        try:
            _take_away(_read(file))
            file.unlink()
        except (OSError, ValueError, KeyError) as error:
            left = True
            _log.error("a link of a model was not taken away yet, it is noted in %s: %s", file, error)
    if not left:
        shutil.rmtree(folder, ignore_errors=True)


def _take_away(note: _Note) -> None:
    """Say that a link is no longer needed here, and remove it where nobody needs it any more. Raises: OSError."""
    if not note.directory.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder is not there", os.fspath(note.directory))
    with _locked(note.directory):
        if not note.holders.is_dir():
            return
        (note.holders / note.holder).unlink(missing_ok=True)
        if any(each.name != _MADE for each in note.holders.iterdir()):
            return
        made = _made_folders(note)
        if _is_ours(note):
            note.place.unlink()
        for each in made:
            # Somebody who put something there meanwhile keeps it.
            with contextlib.suppress(OSError):
                each.rmdir()
        shutil.rmtree(note.holders)
        with contextlib.suppress(OSError):
            note.holders.parent.rmdir()
    _tell_changed(note.place.parent if note.place.parent.is_dir() else note.directory)


def _is_ours(note: _Note) -> bool:
    """Tell whether what lies under the name is the link that was noted, and not what somebody put in its place."""
    try:
        if note.place.is_symlink():
            return Path(os.readlink(note.place)) == note.content  # noqa: PTH115 # the text as it was written
        # A second name of a file whose first one is gone is all that is left of it.
        return note.content.exists() and note.place.samefile(note.content) and note.place.resolve() != note.content
    except FileNotFoundError:
        return False


def _made_folders(note: _Note) -> list[Path]:
    try:
        told = json.loads((note.holders / _MADE).read_text())
    except (OSError, ValueError):
        return []
    paths = [Path(each) for each in told if isinstance(each, str)] if isinstance(told, list) else []
    return [path for path in paths if note.directory in path.parents]


def _inside(name: str) -> str:
    """Return a name that stays below its folder. Raises: NotLinked."""
    parts = PurePosixPath(name)
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts or name.startswith(HOLDERS):
        raise NotLinked(f"{name!r} is no name below a folder of models", hint="this graph was not made by ComfyUI")
    return name


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """A block that other workers of this folder do not enter meanwhile, as far as its file system knows locks."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _tell_changed(folder: Path) -> None:
    """Give a folder the time of now: ComfyUI reads a folder anew whose time is another than when it last read it."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def _write(file: Path, note: _Note) -> None:
    members = {
        "directory": os.fspath(note.directory),
        "name": note.name,
        "content": os.fspath(note.content),
        "holder": note.holder,
    }
    with file.open("w") as written:
        json.dump(members, written)
        written.flush()
        os.fsync(written.fileno())


def _read(file: Path) -> _Note:
    told = json.loads(file.read_text())
    return _Note(
        directory=Path(told["directory"]), name=told["name"], content=Path(told["content"]), holder=told["holder"]
    )
