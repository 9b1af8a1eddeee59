"""What is installed in ComfyUI's own Python, and how torch computes there: asked of that Python itself, in a process apart.

The answer is kept in the worker's state folder and asked again only where interpreter, installed packages, variables,
processors or this probe changed: importing torch takes seconds. What fails is unknown, never a worker that does not start.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from memoryd.comfyui.recorded_variables import RECORDED_VARIABLES
from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.logging import log_for
from memoryd.worker.engine_sight import EngineSight

PROBE_LIMIT_S = 60.0
"""How long ComfyUI's Python may take to tell. It takes 2 to 5 s, since ComfyUI has just read the same files; a cold network
disk takes more."""
KEPT_LIMIT = 20
"""Answers that are kept: one for each way in which ComfyUI was started."""
ANSWER_LIMIT = 1_000_000
"""Bytes of an answer; 500 packages take 20,000."""

VALUE_LIMIT = 200
"""Characters of a variable's value that are recorded."""

_LEADS = ("PATH", "HOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Other variables that decide what an import finds; their values are hashed, and recorded nowhere."""
_TOLD = ("python", "packages", "zlib", "pillow", "torch", "cuda", "rocm", "cudnn", "threads", "simd")
_SCRIPT = Path(__file__).with_name("engine_probe_script.py")
_log = log_for(__name__)
_lately: dict[str, dict[str, Json]] = {}
"""Answers of this process, by the same name as in the file: a worker looks again every few minutes."""


def recorded_variables(variables: Mapping[str, str]) -> dict[str, Json]:
    """Return those of a process's variables that are recorded."""
    return {name: variables[name][:VALUE_LIMIT] for name in RECORDED_VARIABLES if name in variables}


class EngineProbe:
    """One question to ComfyUI's Python: begun at once, answered when it is asked for. To be used in a `with` block."""

    def __init__(self, sight: EngineSight, kept: Path) -> None:
        """Begin. `kept`: the folder in which answers are kept."""
        self._sight = sight
        self._file = kept / "probes.json"
        self._name = _name_of(sight)
        self._answer = _still_true(_lately.get(self._name)) or _still_true(_read(self._file).get(self._name))
        self._process: subprocess.Popen[bytes] | None = None
        if self._answer is None:
            self._process = _begin(sight, kept)

    def __enter__(self) -> EngineProbe:
        """The probe itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End a process whose answer nobody waits for."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def members(self) -> dict[str, Json]:
        """Return what it told, as members of an environment; what it did not tell within PROBE_LIMIT_S is left out."""
        if self._answer is None and self._process is not None:
            self._answer = self._wait(self._process)
        answer = self._answer or {}
        return {name: answer[name] for name in _TOLD if name in answer}

    def places(self) -> tuple[Path, ...]:
        """Return the folders in which that Python finds packages; after `members`."""
        told = (self._answer or {}).get("places")
        return tuple(Path(str(place)) for place in told) if isinstance(told, list) else ()

    def _wait(self, process: subprocess.Popen[bytes]) -> dict[str, Json] | None:
        try:
            told, trouble = process.communicate(timeout=PROBE_LIMIT_S)
        except subprocess.TimeoutExpired:
            _log.warning(
                "%s did not tell within %.0f s what is installed: unknown until the next look",
                self._sight.python,
                PROBE_LIMIT_S,
            )
            return None
        if trouble:
            _log.info("%s: %s", self._sight.python, trouble[-1000:].decode("utf-8", "replace").strip())
        answer: dict[str, Json] = {}
        for line in told[:ANSWER_LIMIT].splitlines():
            answer |= _object(line)
        if process.returncode != 0 or "packages" not in answer:
            _log.warning("%s does not tell what is installed (exit code %d)", self._sight.python, process.returncode)
            return answer or None
        self._keep(answer)
        return answer

    def _keep(self, answer: dict[str, Json]) -> None:
        answer["stamps"] = _stamps(answer.get("places"))
        _lately[self._name] = answer
        kept = {name: value for name, value in _read(self._file).items() if name != self._name}
        newest = dict([*list(kept.items())[-KEPT_LIMIT + 1 :], (self._name, answer)])
        try:
            unfinished = self._file.with_suffix(".part")
            unfinished.write_text(json.dumps(newest))
            unfinished.replace(self._file)
        except OSError as error:
            _log.warning("what was probed is not kept: %s", error)


def _begin(sight: EngineSight, kept: Path) -> subprocess.Popen[bytes] | None:
    empty = kept / "probing"
    try:
        empty.mkdir(mode=0o700, exist_ok=True)
        # By -c and in an empty folder: no file beside the script can be taken for a module.
        return subprocess.Popen(
            [str(sight.python), "-B", "-c", _SCRIPT.read_text("utf-8"), ",".join(map(str, sight.processors))],
            cwd=empty,
            env={name: value for name, value in sight.variables.items() if not name.startswith("MEMORYD_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be asked what is installed: %s", sight.python, error)
        return None


def _name_of(sight: EngineSight) -> str:
    chosen = {
        name: value
        for name, value in sight.variables.items()
        if name in RECORDED_VARIABLES or name in _LEADS or name.startswith("PYTHON")
    }
    stamps = _stamps([str(sight.python), str(sight.python.resolve()), str(_SCRIPT)])
    words = [str(sight.python), stamps, chosen, list(sight.processors), processor_model()]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _stamps(places: Json | Sequence[str]) -> dict[str, Json]:
    """When each of these changed last; installing or removing a package changes the folder it lies in."""
    stamps: dict[str, Json] = {}
    for place in places if isinstance(places, (list, tuple)) else ():
        try:
            stamps[str(place)] = Path(str(place)).stat().st_mtime_ns
        except OSError:
            stamps[str(place)] = None
    return stamps


def _still_true(answer: Json) -> dict[str, Json] | None:
    if not isinstance(answer, dict) or answer.get("stamps") != _stamps(answer.get("places")):
        return None
    return answer


def _read(file: Path) -> dict[str, Json]:
    try:
        return _object(file.read_bytes())
    except OSError:
        return {}


def _object(text: bytes) -> dict[str, Json]:
    try:
        value = read_json(text)
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def processor_model() -> str | None:
    """Return the name of this machine's processor, None where it does not tell. Source: proc_cpuinfo(5)."""
    try:
        with Path("/proc/cpuinfo").open("rb") as file:
            for line in file.read(65536).decode("ascii", "replace").splitlines():
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip() or None
    except OSError:
        return None
    return None
