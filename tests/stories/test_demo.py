"""The demo is a test: the whole main job on real pictures, as `make demo` runs it, from an empty place to an empty place."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = (
    "start:",
    "take in a folder",
    "search",
    "one picture:",
    "a signed copy, verified",
    "submit a job",
    "make again: a model-free picture",
    "make again: the picture that the stand-in painted",
    "the proof of it: a signed receipt",
    "a lineage report, signed",
)
DEMO_LIMIT_S = 400
"""Far beyond what it takes: a demo that hangs is a failure, a slow machine is none."""


def test_the_demo_does_the_whole_main_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = {name: value for name, value in os.environ.items() if not name.startswith("MEMORYD_")}
    ran = subprocess.run(
        [sys.executable, "-m", "memoryd_cli", "demo"],
        env={**home, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    for step in STEPS:
        assert f"== {step}" in ran.stdout
    assert ran.stdout.count("verdict: identical file") == 2
    assert "memoryd up ~/ComfyUI/output" in ran.stdout
    assert list(Path(tempfile.gettempdir()).glob(f"{tmp_path.name}/memoryd-demo-*")) == []
    assert list(tmp_path.iterdir()) == []
