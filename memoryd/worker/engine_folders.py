"""The folders of a ComfyUI that a worker launched: its own, below the worker's state, and empty when a job begins."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from memoryd.comfyui.errors import EngineFileMissing
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import InputFile
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.logging import log_for

_MODE = 0o700
_log = log_for(__name__)


class NameLeavesFolder(NotAcceptable):
    """A file's name leads out of the folder that it should lie in."""


@dataclasses.dataclass(frozen=True, slots=True)
class EngineFolders:
    """Where one launched ComfyUI reads and writes. `home` is private to the worker."""

    home: Path

    @property
    def input(self) -> Path:
        """What graphs read by name."""
        return self.home / "input"

    @property
    def output(self) -> Path:
        """What graphs save."""
        return self.home / "output"

    @property
    def temp(self) -> Path:
        """What graphs only show. ComfyUI makes `temp` itself, below what it is told."""
        return self.home / "temp"

    @property
    def user(self) -> Path:
        """ComfyUI's settings and its database."""
        return self.home / "user"

    def make(self) -> None:
        """Make the folders that are not there."""
        for folder in (self.home, self.input, self.output, self.temp, self.user):
            folder.mkdir(mode=_MODE, parents=True, exist_ok=True)

    def empty(self) -> None:
        """Remove what jobs left: inputs, outputs and previews. The folders themselves stay: ComfyUI lists them."""
        for folder in (self.input, self.output, self.temp):
            for path in _children(folder):
                _remove(path)

    def reset(self) -> None:
        """Make everything as on the first day; for before a launch."""
        self.make()
        self.empty()
        for path in _children(self.user):
            _remove(path)

    def place_of(self, file: InputFile) -> Path:
        """Return where an input must lie, with its folder made. Raises: NameLeavesFolder."""
        path = self._inside(file.type, file.subfolder, file.name)
        path.parent.mkdir(mode=_MODE, parents=True, exist_ok=True)
        return path

    def find(self, file: OutputFile) -> Path:
        """Return where a file of a run lies. Raises: EngineFileMissing; NameLeavesFolder, also through a link."""
        path = self._inside(file.type, file.subfolder, file.filename)
        if not path.is_file():
            raise EngineFileMissing(
                f"{file.subfolder}/{file.filename} ({file.type})",
                hint="a cached run names files that are gone; it is run again",
            )
        folder = self._of_type(file.type).resolve()
        if folder not in path.resolve().parents:
            raise NameLeavesFolder(
                f"{file.filename} is a link to elsewhere", hint="graphs save below the output folder"
            )
        return path

    def _of_type(self, kind: str) -> Path:
        folder = {"input": self.input, "output": self.output, "temp": self.temp}.get(kind)
        if folder is None:
            raise NameLeavesFolder(f"there is no folder of type {kind!r}", hint="input, output and temp are known")
        return folder

    def _inside(self, kind: str, subfolder: str, name: str) -> Path:
        folder = self._of_type(kind)
        path = Path(os.path.normpath(folder / subfolder / name))
        if "\0" in name + subfolder or folder not in path.parents:
            raise NameLeavesFolder(f"{subfolder}/{name} ({kind})", hint="name a file below ComfyUI's own folder")
        return path


def _children(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except FileNotFoundError:
        return


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s was not removed: %s", path, error)
