"""The process behind a ComfyUI's address on this machine: found in /proc, never touched.

Only a process of the worker's own user is looked into: what runs as somebody else stays unknown, and nothing of theirs is run.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

_PROC = Path("/proc")
_LISTENING = "0A"
"""Source: proc_net_tcp(5): the state of a socket that listens."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_PYTHON = re.compile(r"python[0-9.]*(-[a-z0-9-]+)?")
_TEXT_LIMIT = 4 * 1024 * 1024
"""Bytes of a file of /proc that are read."""
_HTTP_PORT = 80


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineSight:
    """A ComfyUI's process: its interpreter (as it was called: a venv's own), its variables, and the processors it may use.

    `program` is the folder of the script it was started with, where that is a ComfyUI's.
    """

    pid: int
    python: Path
    variables: Mapping[str, str] = dataclasses.field(repr=False)
    processors: tuple[int, ...]
    program: Path | None


def find_engine(url: str) -> EngineSight | None:
    """Return the process that listens at a loopback address; None where it cannot be seen, or is no Python of ours."""
    port = urlsplit(url).port or _HTTP_PORT
    try:
        inodes = set(_listening(port))
        pid = _owner(inodes) if inodes else None
        return _look(pid) if pid is not None else None
    except (OSError, ValueError):
        # It ended meanwhile, or this system tells it otherwise.
        return None


def _listening(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        for line in _text(_PROC / "net" / name).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _owner(inodes: set[str]) -> int | None:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and _is_ours(folder) and not inodes.isdisjoint(_sockets(folder)):
            return int(folder.name)
    return None


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _sockets(folder: Path) -> Iterator[str]:
    try:
        for descriptor in (folder / "fd").iterdir():
            match = _SOCKET.fullmatch(str(descriptor.readlink()))
            if match:
                yield match[1]
    except OSError:
        return


def _look(pid: int) -> EngineSight | None:
    folder = _PROC / str(pid)
    # In a container of its own the paths are not ours.
    if (folder / "ns" / "mnt").readlink() != (_PROC / "self" / "ns" / "mnt").readlink():
        return None
    words = [os.fsdecode(word) for word in (folder / "cmdline").read_bytes()[:_TEXT_LIMIT].split(b"\0")]
    variables = dict(_variables((folder / "environ").read_bytes()[:_TEXT_LIMIT]))
    home = (folder / "cwd").readlink()
    python = _interpreter(words[0], home, variables, (folder / "exe").readlink())
    if python is None:
        return None
    return EngineSight(
        pid=pid,
        python=python,
        variables=variables,
        processors=tuple(sorted(os.sched_getaffinity(pid))),
        program=_program(words[1:], home),
    )


def _variables(environ: bytes) -> Iterator[tuple[str, str]]:
    for pair in environ.split(b"\0"):
        name, equals, value = pair.partition(b"=")
        if equals and name:
            yield os.fsdecode(name), os.fsdecode(value)


def _interpreter(called: str, home: Path, variables: Mapping[str, str], runs: Path) -> Path | None:
    """The interpreter under the name it was called by: a venv's python is a link, and a venv's only under its own name."""
    if not _PYTHON.fullmatch(runs.name):
        return None
    found = home / called if "/" in called else shutil.which(called, path=variables.get("PATH", os.defpath))
    candidate = Path(os.path.normpath(found)) if found else None
    if candidate is not None and candidate.is_file() and candidate.resolve() == runs.resolve():
        return candidate
    return runs if runs.is_file() else None


def _program(arguments: list[str], home: Path) -> Path | None:
    script = next((word for word in arguments if not word.startswith("-")), None)
    if script is None or not script.endswith(".py"):
        return None
    folder = Path(os.path.normpath(home / script)).parent
    return folder if (folder / "comfyui_version.py").is_file() or (folder / "comfy").is_dir() else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_TEXT_LIMIT).decode("ascii", "replace")
    except OSError:
        return ""
