"""One thing is other than then: is the verdict right, and is that one thing named first?

Two machines: on one all is as it was, on the other one thing is not. Pictures of the first are made again on the second;
when they fall short of identical, second runs follow on both, and show that it is this one thing.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from comfyui import CHECKPOINT, ONE_THREAD, ComfyUI, a_turn, other_weights
from house import House
from kinds import Original, read_runs, send_all
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from telling import IDENTICAL_FILE, IDENTICAL_PIXELS, WITHIN, Telling, by_other_eyes, first

TORCH_VARIABLE, PILLOW_VARIABLE = "MEMORYD_TEST_COMFYUI_PYTHON_TORCH", "MEMORYD_TEST_COMFYUI_PYTHON_PILLOW"
PICTURES = ("txt2img_basic", "txt2img_batch4", "txt2img_hires_two_samplers")
"""Small differences show in some pictures and not in others."""
NOT_ATTEMPTED = "not attempted"


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """What is other than then. `shows`: verdicts that it may give; `cause` the first cause where it shows.

    `stated` tells by its environment that the worker knows of it.
    """

    name: str
    stated: Callable[[Mapping[str, Any]], bool]
    shows: frozenset[str]
    cause: str = ""
    flags: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    python: str = ""
    """The variable that names another Python. Whether that shows is up to its builds, so it need not."""


def _variable(name: str, value: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda told: (told.get("variables") or {}).get(name) == value


ROUNDED = frozenset({WITHIN})
PERTURBATIONS = (
    Perturbation(
        "threads",
        lambda t: t["threads"]["intra_op"] == 2,
        ROUNDED,
        "threads.intra_op",
        variables={"OMP_NUM_THREADS": "2"},
    ),
    Perturbation(
        "simd",
        _variable("ATEN_CPU_CAPABILITY", "default"),
        ROUNDED,
        "simd",
        variables={"ATEN_CPU_CAPABILITY": "default"},
    ),
    Perturbation(
        "mkl",
        _variable("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),
        ROUNDED,
        "variables.MKL_ENABLE_INSTRUCTIONS",
        variables={"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    ),
    Perturbation("torch", lambda told: True, ROUNDED, "torch", python=TORCH_VARIABLE),
    Perturbation("pillow", lambda told: True, frozenset({IDENTICAL_PIXELS}), "pillow", python=PILLOW_VARIABLE),
    Perturbation(
        "deterministic",
        lambda t: t.get("deterministic") is True,
        frozenset({IDENTICAL_FILE}),
        flags=("--deterministic",),
    ),
)


class Perturbing:
    """Both machines, and what is made again."""

    def __init__(self, engine: ComfyUI, other: ComfyUI, house: House, telling: Telling) -> None:
        """Nothing runs yet."""
        self.engine, self.other, self.house, self.telling = engine, other, house, telling
        self.originals: list[Original] = []
        self.then = self.now = ""

    def begin(self, fixtures: Path) -> None:
        """Start both machines alike, and let the first make the pictures."""
        self.engine.start()
        self.other.start()
        self.then = self.house.worker("then") or self.house.hire("then", self.engine.url)
        self.house.settled(self.then, lambda _: True)
        runs = [run for run in read_runs(fixtures) if run.name in PICTURES]
        self.originals = send_all(self.engine, self.house, runs)
        self.now = self.house.hire("now", self.other.url)
        attempt = self.again(self.originals[0])
        self.telling.check(
            "nothing differs: the other machine makes the identical file", attempt["verdict"] == IDENTICAL_FILE
        )

    def again(self, original: Original, **wish: Any) -> dict[str, Any]:
        """Make a picture again on the second machine."""
        return self.house.make_again(original.sha256, **({"worker": self.now} | wish))

    def apply(self, what: Perturbation) -> bool:
        """Start the second machine anew, perturbed; tell whether that could be done."""
        python = os.environ.get(what.python) if what.python else None
        if what.python and not python:
            self.telling.say(f"-- {what.name}: not run; {what.python} names no Python")
            return False
        before = self.house.environment(self.now)
        self.other.stop()
        self.other.start(
            *what.flags, variables={**ONE_THREAD, **what.variables}, python=Path(python) if python else None
        )

        def stated(told: Mapping[str, Any]) -> bool:
            return told != before and "threads" in told and what.stated(told)

        self.house.settled(self.now, stated)
        return True

    def judge(self, what: Perturbation) -> None:
        """Make the pictures again, and hold each answer against what other eyes see."""
        showed = 0
        for original in self.originals:
            attempt = self.again(original)
            verdict, largest, share = self._seen(original, attempt)
            told = f"(at most {largest}/255 in {share:.2%} of the pixels)" if largest else ""
            label = f"{what.name}: {original.kind}: {attempt['verdict']}"
            self.telling.check(label, attempt["verdict"] == verdict, told)
            if attempt["verdict"] in what.shows:
                showed += 1
            if attempt["verdict"] == IDENTICAL_FILE:
                self.telling.check(f"{what.name}: nothing to explain", not attempt["causes"], attempt["causes"])
                continue
            found = attempt["causes"]
            right = first(found) == what.cause
            told = f"({found[0]['detail']})" if right else found[:3]
            self.telling.check(f"{what.name}: the first cause is {what.cause}", right, told)
            if verdict != IDENTICAL_PIXELS:
                self._tested(what, attempt)
        told = f"in {showed} of {len(self.originals)}"
        if showed or not what.python:
            self.telling.check(f"{what.name}: it shows as expected", showed > 0, told)
        else:
            self.telling.say(f"-- {what.name}: these builds make the same files: it does not show")

    def _seen(self, original: Original, attempt: Mapping[str, Any]) -> tuple[str | None, int, float]:
        if attempt["made_asset_id"] is None:
            return None, 255, 1.0
        return by_other_eyes(self.house.content(original.sha256), self.house.content(attempt["made_asset_id"]))

    def _tested(self, what: Perturbation, attempt: Mapping[str, Any]) -> None:
        runs = {run["purpose"]: run for run in attempt["second_runs"]}
        repeats = runs.get("repeat", {}).get("measures", {}).get("as_first")
        self.telling.check(f"{what.name}: it repeats itself here", repeats is True)
        elsewhere = runs.get("other-worker", {}).get("verdict")
        self.telling.check(f"{what.name}: on the first machine: {elsewhere}", elsewhere == IDENTICAL_FILE)
        tested = attempt["causes"][0].get("tested") or {}
        self.telling.check(f"{what.name}: which shows that it holds", tested.get("holds") is True)

    def require_identical(self) -> None:
        """Perturbed, and an identical environment is required: refused."""
        attempt = self.again(self.originals[0], require="identical-environment")
        refused = (attempt["verdict"], first(attempt["causes"])) == (NOT_ATTEMPTED, "environment-not-here")
        self.telling.check("required to be identical: refused, and the difference named", refused, attempt["causes"])

    def of_a_batch(self) -> None:
        """A picture of a batch whose file says that it was alone."""
        original = next(each for each in self.originals if each.kind.endswith("batch4 (job)/0"))
        path = self.house.watched / "cut" / "cut from a batch.png"
        path.parent.mkdir()
        path.write_bytes(_alone(self.house.content(original.sha256)))
        attempt = self.house.make_again(self.house.known(path), worker=self.then)
        made = self.house.content(attempt["made_asset_id"]) if attempt["made_asset_id"] else b""
        verdict, largest, share = by_other_eyes(path.read_bytes(), made) if made else (None, 255, 1.0)
        told = f"(at most {largest}/255 in {share:.2%} of the pixels)"
        self.telling.check(f"batch: made alone: {attempt['verdict']}", attempt["verdict"] == verdict, told)
        # That file tells of no batch and of no environment: nobody can name the one, and the other is said to be unknown.
        codes = [cause["code"] for cause in attempt["causes"]]
        self.telling.check("batch: what is unknown is said first", codes[:1] == ["environment-unknown"], codes)

    def swap_weights(self, fixtures: Path) -> None:
        """Other weights under the same name."""
        (stranger,) = (run for run in read_runs(fixtures) if run.name == "txt2img_basic")
        path = self.engine.paint({**stranger.prompt, "5": _wide(stranger.prompt["5"])}, stranger.extra)[0]
        found = Original("found", self.house.known(path))
        other_weights(self.other.base / "models/checkpoints" / CHECKPOINT)
        before = self.other.runs()
        attempt = self.again(self.originals[0])
        refused = (attempt["verdict"], first(attempt["causes"])) == (NOT_ATTEMPTED, "model-drifted")
        self.telling.check("weights: refused as drifted", refused, attempt["causes"])
        self.telling.check("weights: before anything ran", self.other.runs() == before)
        attempt = self.house.make_again(self.originals[0].sha256)
        elsewhere = (attempt["verdict"], attempt["worker_id"]) == (IDENTICAL_FILE, self.then)
        self.telling.check("weights: made by the machine that still has them", elsewhere, attempt["verdict"])
        attempt = self.again(found)
        verdict, largest, _ = self._seen(found, attempt)
        apart = verdict is None and attempt["verdict"] in ("different", "similar")
        self.telling.check(f"weights: of a file that tells no hash: {attempt['verdict']}", apart, f"({largest}/255)")
        told = first(attempt["causes"])
        self.telling.check("weights: they are named first", told in ("model-changed", "weights-unknown"), told)


def perturb(engine: ComfyUI, other: ComfyUI, house: House, fixtures: Path, which: set[str], telling: Telling) -> None:
    """Run all, or those that are named."""
    both = Perturbing(engine, other, house, telling)
    with a_turn():
        both.begin(fixtures)
        for what in PERTURBATIONS:
            if (not which or what.name in which) and both.apply(what):
                both.judge(what)
                if what.name == "threads":
                    both.require_identical()
        if not which or "batch" in which:
            both.of_a_batch()
        if not which or "weights" in which:
            other.stop()
            other.start()
            house.settled(both.now, lambda told: "deterministic" in told and not told["deterministic"])
            both.swap_weights(fixtures)
        engine.stop()
        other.stop()


def _alone(content: bytes) -> bytes:
    """A picture whose graph is told to make it alone."""
    with Image.open(io.BytesIO(content)) as picture:
        assert isinstance(picture, PngImageFile)
        texts, told = dict(picture.text), PngInfo()
        samples = picture.convert("RGB")
    prompt = json.loads(texts["prompt"])
    for node in prompt.values():
        if "batch_size" in node["inputs"]:
            node["inputs"]["batch_size"] = 1
    for key, text in (texts | {"prompt": json.dumps(prompt)}).items():
        told.add_text(key, text)
    file = io.BytesIO()
    samples.save(file, "PNG", pnginfo=told, compress_level=4)
    return file.getvalue()


def _wide(node: Mapping[str, Any]) -> dict[str, Any]:
    return {**node, "inputs": {**node["inputs"], "width": 96}}
