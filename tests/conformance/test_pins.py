"""Weights of a real ComfyUI that were renamed, moved or replaced between a run and its being made again.

For an engine whose models folder lies on this machine: a real ComfyUI where its address is given.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_reproduction import PATIENCE_S, Bench, bench, txt2img, verdict_of
from tests.worker.graphs import CHECKPOINT

__all__ = ["bench"]


@pytest.fixture
def checkpoint(bench: Bench) -> Iterator[Path]:
    """The checkpoint that graphs of this module use; back in its place afterwards."""
    folders = bench.engine.folder_paths().get("checkpoints", ())
    name = bench.engine.models("checkpoints")[0].name
    found = [folder / name for folder in folders if (folder / name).is_file()]
    if name == CHECKPOINT or not found:
        pytest.skip("this engine has no weights on this machine")
    kept = found[0].with_name(f"{uuid.uuid4().hex}.kept")
    kept.hardlink_to(found[0])
    try:
        yield found[0]
    finally:
        found[0].unlink(missing_ok=True)
        kept.rename(found[0])


def make(bench: Bench, graph: dict[str, Any]) -> str:
    """Make a picture by a job; return its hash."""
    job = bench.http.post("/jobs", json={"graph": graph}).raise_for_status().json()
    until = time.monotonic() + PATIENCE_S
    while (now := bench.http.get(f"/jobs/{job['id']}").json())["state"] != "succeeded":
        assert time.monotonic() < until, now
        bench.studio.do_chores()
        time.sleep(0.1)
    sha256: str = now["result"]["outputs"][0]["sha256"]
    return sha256


def hashed(bench: Bench) -> Callable[[], bool]:
    """Whether the worker has hashed its checkpoints."""

    def done() -> bool:
        (worker,) = bench.http.get("/workers").json()["items"]
        models = bench.http.get(f"/workers/{worker['id']}/models").json()["items"]
        return all(model["sha256"] for model in models if model["folder"] == "checkpoints")

    return done


def until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_weights_under_another_name_are_linked_and_replaced_ones_refused(bench: Bench, checkpoint: Path) -> None:
    until(hashed(bench))
    asset = make(bench, txt2img(bench, f"reproduced/{uuid.uuid4().hex[:8]}"))
    for _ in range(2):
        assert verdict_of(bench.make_again_of(asset)) == ("identical file", []), "not from a cache either"
    before = set(checkpoint.parent.rglob("*"))
    archive = checkpoint.parent / f"archive-{uuid.uuid4().hex[:8]}"
    archive.mkdir()
    with contextlib.ExitStack() as stack:
        stack.callback(archive.rmdir)
        renamed = checkpoint.rename(archive / "another name.safetensors")
        stack.callback(renamed.unlink)
        assert verdict_of(bench.make_again_of(asset)) == ("identical file", []), "renamed and moved"
        assert set(checkpoint.parent.rglob("*")) == before - {checkpoint} | {archive, renamed}
        others = bytearray(renamed.read_bytes())
        others[-1] ^= 1
        checkpoint.write_bytes(others)
        verdict, codes = verdict_of(bench.make_again_of(asset))
        assert (verdict, codes) == ("not attempted", ["model-drifted"])
        checkpoint.unlink()
        assert verdict_of(bench.make_again_of(asset)) == ("identical file", []), "once it is moved aside"
