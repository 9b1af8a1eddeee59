"""The graphs that are made again: every run of a real ComfyUI among the fixtures that ended well."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comfyui import CannotRun, ComfyUI
from house import House

SENT = "fox_src.png"
"""What somebody uploaded: its content is that of a picture among the fixtures."""
SENT_CONTENT = "images/txt2img_basic.png"
CACHED = "txt2img_cached_rerun"
NO_RUNS = frozenset({CACHED})
AS_JOBS = (
    *("txt2img_basic", "txt2img_lora", "txt2img_batch4", "txt2img_hires_two_samplers", "img2img_from_upload"),
    *("txt2img_dpmpp_sde_karras_128x96", "modelfree_blend_invert", "save_image_advanced_16bit"),
)
"""Runs that are made by jobs as well, with other seeds: then all of them is known, and not what files tell alone."""
JOB_SEED = 1_000_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One recorded run."""

    name: str
    prompt: dict[str, Any]
    extra: dict[str, Any]
    published: Mapping[str, str]
    """SHA-256s of the files it made on another machine."""


@dataclasses.dataclass(frozen=True)
class Original:
    """One picture that was made here, and is to come again."""

    kind: str
    sha256: str


def read_runs(fixtures: Path) -> list[Run]:
    """Return the runs in the order in which they were made: later ones read what earlier ones wrote."""
    index = json.loads((fixtures / "index.json").read_text())
    runs = []
    for each in index:
        if each.get("status") != "success" or each["name"] in NO_RUNS:
            continue
        history = json.loads((fixtures / "history" / f"{each['name']}.json").read_text())
        _, _, prompt, extra, *_ = next(iter(history.values()))["prompt"]
        runs.append(Run(each["name"], prompt, extra.get("extra_pnginfo") or {}, each["sha256"]))
    return runs


def paint_all(
    engine: ComfyUI, house: House, runs: Sequence[Run], fixtures: Path, say: Callable[[str], None]
) -> list[Original]:
    """Run all as strangers do, let the watcher record what lies in the folder then, and return it."""
    sent = engine.base / "input" / SENT
    shutil.copyfile(fixtures / SENT_CONTENT, sent)
    painted = []
    for run in runs:
        try:
            files = engine.paint(run.prompt, run.extra)
        except CannotRun as error:
            say(f"-- {run.name}: this ComfyUI cannot run it: {str(error).strip()}")
            continue
        for number, path in enumerate(files):
            kept = path
            if path.parent.name == "temp":
                # A preview that somebody liked and kept.
                kept = engine.base / "output" / "kept" / path.name
                kept.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, kept)
            painted.append((f"{run.name}/{number}", kept))
    return [Original(kind, house.known(path)) for kind, path in painted]


def send_all(engine: ComfyUI, house: House, runs: Sequence[Run]) -> list[Original]:
    """Run some as jobs, and return what they made."""
    originals = []
    for run in (each for each in runs if each.name in AS_JOBS):
        graph = json.loads(json.dumps(run.prompt))
        for node in graph.values():
            node["inputs"].pop("is_changed", None)
            node.pop("is_changed", None)
            for key in ("seed", "noise_seed"):
                if isinstance(node["inputs"].get(key), int):
                    node["inputs"][key] += JOB_SEED
            if "color" in node["inputs"]:
                node["inputs"]["color"] = node["inputs"]["color"] ^ 0x0F0F0F
        reads = {
            node["inputs"]["image"]: engine.base / "input" / node["inputs"]["image"]
            for node in graph.values()
            if node["class_type"] == "LoadImage"
        }
        made = house.send(json.dumps(graph), json.dumps({"extra_pnginfo": run.extra}), reads)
        originals += [Original(f"{run.name} (job)/{place}", sha256) for place, sha256 in enumerate(made)]
    return originals
