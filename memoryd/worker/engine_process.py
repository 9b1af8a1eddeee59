"""One ComfyUI process that a worker launched: started, watched, ended, and found again after the worker was restarted."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.worker.engine_folders import EngineFolders
from memoryd.worker.engine_log import EngineLog
from memoryd.worker.silence import Activity

STOP_LIMIT_S = 8.0
"""How long ComfyUI may take to end after SIGTERM. 0.29 takes about 2 s when it is idle; in the middle of a node it does not
end at all."""

_LOOK_S = 0.05
_BEGIN = 'echo $$ >"$0" && exec "$@"'
"""ComfyUI's process writes its number itself: a worker that is killed at this very moment leaves none that nobody knows."""

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""How SIGKILL shows in an exit code: of the process itself, or told by a shell."""

_PYTHONS = ("venv/bin/python", ".venv/bin/python", "../venv/bin/python", "../.venv/bin/python")
_OURS = frozenset(
    {
        "--listen",
        "--port",
        "--output-directory",
        "--input-directory",
        "--temp-directory",
        "--user-directory",
        "--database-url",
        "--tls-keyfile",
        "--tls-certfile",
        "--auto-launch",
    }
)
"""Flags that the worker sets itself."""


class NoComfyUI(NotFound):
    """There is no ComfyUI to launch."""


class FlagIsOurs(NotAcceptable):
    """This launch flag is set by the worker itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How ComfyUI is started: `python directory/main.py arguments…`."""

    directory: Path
    python: Path
    arguments: tuple[str, ...] = ()

    def command(self, folders: EngineFolders, port: int) -> list[str]:
        """Return the whole command line."""
        return [
            str(self.python),
            "main.py",
            "--disable-auto-launch",
            *("--listen", "127.0.0.1", "--port", str(port)),
            *("--output-directory", str(folders.output), "--input-directory", str(folders.input)),
            *("--temp-directory", str(folders.home), "--user-directory", str(folders.user)),
            *("--database-url", f"sqlite:///{folders.user}/comfyui.db"),
            *self.arguments,
        ]


def plan_launch(directory: Path, python: Path | None, arguments: Sequence[str]) -> Launch:
    """Return how the ComfyUI in a directory is started; without `python`, with that of a venv in or beside it.

    Raises: NoComfyUI, FlagIsOurs.
    """
    directory = directory.absolute()
    if not (directory / "main.py").is_file():
        raise NoComfyUI(f"there is no main.py in {directory}", hint="--comfyui-dir is the folder of ComfyUI's checkout")
    taken = [word for word in arguments if word.partition("=")[0] in _OURS]
    if taken:
        raise FlagIsOurs(f"{taken[0]} in --comfyui-args", hint="the worker gives its ComfyUI folders and a port itself")
    if python is None:
        found = [directory / place for place in _PYTHONS if (directory / place).is_file()]
        if not found:
            raise NoComfyUI(
                f"there is no venv in or beside {directory}", hint="name ComfyUI's python with --comfyui-python"
            )
        python = found[0]
    elif not python.is_file():
        raise NoComfyUI(f"there is no {python}", hint="--comfyui-python is the interpreter that ComfyUI runs with")
    # Not resolved: a venv's python is a link, and is a venv's only under its own name.
    return Launch(directory=directory, python=python.absolute(), arguments=tuple(arguments))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended. `code` is None where nobody could see it; `out_of_memory`: the kernel killed it for its memory."""

    code: int | None
    out_of_memory: bool

    def __str__(self) -> str:
        """A sentence's part for people."""
        if self.out_of_memory:
            return "it was killed (SIGKILL): the machine ran out of memory, or somebody did it"
        if self.code is None:
            return "it ended"
        return f"it ended by signal {-self.code}" if self.code < 0 else f"it ended with code {self.code}"


class EngineProcess:
    """A running ComfyUI. Used by one thread, but for `end` and `activity`."""

    def __init__(self, *, pid: int, port: int, home: Path, child: subprocess.Popen[bytes] | None) -> None:
        """Made by `launch` and `find`."""
        self.pid = pid
        self.port = port
        self._home = home
        self._child = child
        self._kills = _count_memory_kills()
        self._stopped_by_us = False

    def end(self) -> ProcessEnd | None:
        """Return how it ended, None while it lives."""
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return None
        elif _is_locked(self._home):
            return None
        else:
            code = None
        return ProcessEnd(code=code, out_of_memory=self._was_memory(code))

    def _was_memory(self, code: int | None) -> bool:
        if code not in _KILLED or self._stopped_by_us:
            return False
        kills = _count_memory_kills()
        # Where the kernel counts, it says so; where it does not, the memory is what kills such processes.
        return kills is None or self._kills is None or kills > self._kills

    def activity(self) -> Activity | None:
        """Return what the process has done so far, None where this system does not tell. Source: proc(5)."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            counters = dict(line.split(": ") for line in Path(f"/proc/{self.pid}/io").read_text().splitlines())
            ticks = int(fields[11]) + int(fields[12])
            # What is read through a mapping counts in `read_bytes` alone, what comes from the page cache in `rchar`.
            read = int(counters["rchar"]) + int(counters["read_bytes"])
            return Activity(processor_s=ticks / os.sysconf("SC_CLK_TCK"), read_bytes=read)
        except (OSError, ValueError, KeyError, IndexError):
            return None

    def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """End it and everything it started: by SIGTERM, after `limit_s` by SIGKILL."""
        self._stopped_by_us = True
        for number, seconds in ((signal.SIGTERM, limit_s), (signal.SIGKILL, STOP_LIMIT_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if self.end() is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(self.pid, signal.SIGKILL)  # what it left behind of children
                    _record(self._home).unlink(missing_ok=True)
                    return
                time.sleep(_LOOK_S)


def launch(plan: Launch, folders: EngineFolders, log: EngineLog, port: int) -> EngineProcess:
    """Start ComfyUI in a session of its own: it outlives a worker that is killed, and is found again. Raises: NoComfyUI."""
    command = plan.command(folders, port)
    lock = os.open(_lock(folders.home), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    output = log.open()
    try:
        # Held by ComfyUI itself, for as long as it or a child of it lives: no number that another process may get.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = {"port": port, "plan": digest(plan)}
        unfinished = _record(folders.home).with_suffix(".part")
        unfinished.write_text(json.dumps(facts))
        unfinished.replace(_record(folders.home))
        child = subprocess.Popen(
            ["/bin/sh", "-c", _BEGIN, str(_number(folders.home)), *command],
            cwd=plan.directory,
            env={name: value for name, value in os.environ.items() if not name.startswith("MEMORYD_")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            start_new_session=True,
        )
    except OSError as error:
        raise NoComfyUI(f"{command[0]} did not start: {error}", hint="look at --comfyui-python") from error
    finally:
        os.close(lock)
        os.close(output)
    return EngineProcess(pid=child.pid, port=port, home=folders.home, child=child)


def find(plan: Launch, folders: EngineFolders) -> EngineProcess | None:
    """Return the ComfyUI that an earlier start of this worker launched, where it lives and was launched the same way.

    One that was launched in another way is ended.
    """
    if not _is_locked(folders.home):
        return None
    try:
        facts = json.loads(_record(folders.home).read_text())
        pid = int(_number(folders.home).read_text())
        found = EngineProcess(pid=pid, port=int(facts["port"]), home=folders.home, child=None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if facts.get("plan") == digest(plan):
        return found
    found.stop()
    return None


def digest(plan: Launch) -> str:
    """Return what tells one way of launching from another."""
    words = [str(plan.directory), str(plan.python), *plan.arguments]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _is_locked(home: Path) -> bool:
    try:
        with _lock(home).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _lock(home: Path) -> Path:
    return home / "alive.lock"


def _record(home: Path) -> Path:
    return home / "process.json"


def _number(home: Path) -> Path:
    return home / "process.pid"


def _count_memory_kills() -> int | None:
    """Return how often the kernel has killed a process for memory since it started, None where it does not tell."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        return None
    return None
