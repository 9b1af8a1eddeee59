"""How good the dispatcher is: ratios in one run, against the same embedded Postgres, durable as shipped.

    python benchmarks/dispatch.py [--quick] [--only NAME ...] [--json FILE]

    submit        submitting over HTTP with 100,000 jobs waiting and 8 claimers at work; submit to claim on an idle worker
    processor     processor time of a submission, a claim and a completion over HTTP
    throughput    claim + complete over 16 connections, beside procrastinate's worker (pip install '.[bench]')
    depth         claims at 1,000,000 waiting jobs, beside 10,000
    snapshot      claims under a snapshot that is held open while 200,000 jobs complete
    flood         a tenant's first job behind another tenant's 10,000
    affinity      model loads, beside first in first out, and how far a job is overtaken
    overhead      a job through memoryd, beside the same ComfyUI spoken to directly (MEMORYD_TEST_COMFYUI_URL adds a real one)

Every figure is printed with its target, and every question with what the machine was doing meanwhile: a machine that
others use makes all milliseconds longer, but hardly a ratio of things taken in turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from queue_measures import affinity, claiming, flood, overhead, processor, submitting, throughput
from queue_measures.figures import Figure, Machine, watched
from queue_measures.places import Place

MEASURES: dict[str, Callable[..., list[Figure]]] = {
    "submit": submitting.submit,
    "processor": processor.processor,
    "throughput": throughput.throughput,
    "depth": claiming.depth,
    "snapshot": claiming.snapshot,
    "flood": flood.flood,
    "affinity": affinity.affinity,
    "overhead": overhead.overhead,
}


def measure(names: list[str], *, quick: bool) -> dict[str, tuple[list[Figure], Machine, float]]:
    """Return the figures of each question, what the machine did meanwhile, and the seconds it took. Prints as it goes."""
    found: dict[str, tuple[list[Figure], Machine, float]] = {}
    for name in names:
        print(f"{name}", flush=True)
        began = time.monotonic()
        place = Place()
        try:
            with watched() as machine:
                figures = MEASURES[name](place, quick=quick)
        finally:
            place.close()
        for figure in figures:
            print(figure.line(), flush=True)
        found[name] = (figures, machine, time.monotonic() - began)
        print(f"{machine.line()}; {found[name][2]:.0f} s", flush=True)
    return found


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a look, no verdict")
    parser.add_argument("--only", nargs="+", choices=sorted(MEASURES), metavar="NAME", help="only these questions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    names = [name for name in MEASURES if asked.only is None or name in asked.only]
    found = measure(names, quick=asked.quick)
    judged = [figure for figures, _, _ in found.values() for figure in figures if figure.holds is not None]
    missed = [figure.name for figure in judged if not figure.holds]
    print(f"{len(judged) - len(missed)} targets hold, {len(missed)} missed{': ' if missed else ''}{'; '.join(missed)}")
    if asked.json:
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        questions = {
            name: {
                "figures": [{**dataclasses.asdict(figure), "holds": figure.holds} for figure in figures],
                "machine": dataclasses.asdict(share),
                "seconds": round(seconds, 1),
            }
            for name, (figures, share, seconds) in found.items()
        }
        document = {"benchmark": "dispatch", "quick": asked.quick, "machine": machine, "questions": questions}
        asked.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
