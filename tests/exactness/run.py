"""How exact: on a real ComfyUI, every kind of picture comes again as the identical file, and what differs is named.

Run: `make exactness`, with MEMORYD_TEST_COMFYUI_DIR and MEMORYD_TEST_COMFYUI_PYTHON naming a ComfyUI that may be started;
`python tests/exactness/run.py [--runs N] [--only repeating|perturbing] [--keep]`. MEMORYD_TEST_COMFYUI_PYTHON_TORCH and
_PILLOW may name Pythons with another torch and another Pillow. Everything else is its own: Postgres, server, watcher,
workers, the folders of ComfyUI, and the weights that made the fixtures. Prints `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from comfyui import ComfyUI, chosen, make_models, share_models
from house import House
from perturbing import perturb
from repeating import repeat
from telling import Telling

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def main() -> int:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", choices=["repeating", "perturbing"])
    parser.add_argument("--which", default="", help="perturbations by name, separated by commas")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where fixtures and tools lie")
    parser.add_argument("--keep", action="store_true", help="leave folders and logs")
    asked = parser.parse_args()
    folder, python = chosen()
    # Ended by a signal, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    telling, began = Telling(), time.monotonic()
    fixtures = asked.shared / "fixtures/comfyui"
    place = Path(tempfile.mkdtemp(prefix="memoryd-exactness-"))
    engine = ComfyUI(place / "then", folder, python)
    other = ComfyUI(place / "now", folder, python)
    house = None
    try:
        make_models(engine.base, python, asked.shared / "tools", fixtures)
        share_models(engine.base, other.base)
        house = House(place, engine.base / "output")
        if asked.only != "perturbing":
            repeat(engine, house, fixtures, asked.runs, telling)
        if asked.only != "repeating":
            perturb(engine, other, house, fixtures, set(filter(None, asked.which.split(","))), telling)
    finally:
        for each in (engine, other):
            each.stop()
        if house is not None:
            house.close()
        if asked.keep or telling.failed:
            print(f"kept: {place}", flush=True)
        else:
            shutil.rmtree(place, ignore_errors=True)
    print(f"{telling.passed} passed, {telling.failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if telling.failed else 0


if __name__ == "__main__":
    sys.exit(main())
