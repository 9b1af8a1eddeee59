"""What making a picture again costs beyond making it: plan, queue, record, compare, verdict and receipt.

    python benchmarks/reproduction.py [--quick] [--json FILE]

A 1024 x 1024 picture is made once through memoryd on the stand-in, or on a real ComfyUI at MEMORYD_TEST_COMFYUI_URL (a
plain colour there: noise would need a model). Then, in turns on that one engine, it is run directly (caches emptied,
prompt sent, end heard of, picture fetched) and made again through memoryd (asked for over HTTP, until its verdict is
committed). The difference is the overhead. `parts` times the comparison of two such pictures by itself, once equal and
once with every sample off by one: the second costs all measures and a difference picture.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from PIL import Image
from queue_measures.figures import Figure, Machine, median, now_ms, percentile, watched
from queue_measures.overhead import REAL_VARIABLE, plain_colour, run_directly, stand_in
from queue_measures.places import Caller, Place
from queue_measures.submitting import prompt

from memoryd.comfyui.client import ComfyClient
from memoryd.imaging.differences import compare_pixels

TARGET_MS = 150.0
SIZE = 1024
PATIENCE_S = 120.0
REST_S = 0.2
"""After a verdict, before the next run: the worker asks for work again, which is not the next one's time."""


def measure(place: Place, comfyui: str, named: str, graph: dict[str, Any], *, quick: bool) -> list[Figure]:
    """Return the figures of one engine."""
    count = 10 if quick else 40
    direct, again, verdicts = list[float](), list[float](), set[str]()
    with place.server() as address, psycopg.connect(place.cluster.superuser_url("memoryd"), autocommit=True) as watch:
        made = address.caller().post("/v1/workers", {"pool": "default", "label": f"bench {named}"})
        worker = place.start(
            "worker", "--server", address.url, "--comfyui", comfyui, "--state", str(place.folder / f"worker {named}"),
            MEMORYD_JOIN_TOKEN=made["token"],
        )  # fmt: skip
        client = ComfyClient(comfyui)
        try:
            # A connection that rests while a worker starts is closed by the server.
            asset = _first(address.caller(), watch, graph)
            caller = address.caller()
            for number in range(count + 3):
                client.free()
                time.sleep(REST_S)
                took, _ = run_directly(comfyui, graph)
                time.sleep(REST_S)
                spent, verdict = _again(caller, watch, asset)
                time.sleep(REST_S)
                if number >= 3:
                    direct.append(took)
                    again.append(spent)
                    verdicts.add(verdict)
        finally:
            client.close()
            place.stop(worker)
    extra = [one - other for one, other in zip(again, direct, strict=True)]
    print(f"  {named}: verdicts {', '.join(sorted(verdicts))}", flush=True)
    return [
        Figure(name=f"{named}: run directly, p50", value=median(direct), unit="ms"),
        Figure(name=f"{named}: made again, to the verdict, p50", value=median(again), unit="ms"),
        Figure(name=f"{named}: overhead, p50", value=median(extra), unit="ms", target=TARGET_MS),
        Figure(name=f"{named}: overhead, p90", value=percentile(extra, 0.9), unit="ms"),
    ]


def _first(caller: Caller, watch: psycopg.Connection[Any], graph: dict[str, Any]) -> str:
    job = caller.post("/v1/jobs", {"graph": graph})["id"]
    sql = """select o.asset_id from t_default.generation g join t_default.generation_output o on o.generation_id = g.id
              where g.job_id = %s"""
    return str(_wait(watch, sql, job)[0])


def _again(caller: Caller, watch: psycopg.Connection[Any], asset: str) -> tuple[float, str]:
    began = now_ms()
    attempt = caller.post(f"/v1/assets/{asset}/reproductions", {"pool": "default", "tests": False})["id"]
    # The verdict's commit, seen from outside: asking the server itself would take its time away from the work.
    sql = "select verdict from t_default.reproduction where id = %s and state = 'decided'"
    verdict = str(_wait(watch, sql, attempt)[0])
    return now_ms() - began, verdict


def _wait(watch: psycopg.Connection[Any], sql: str, about: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = watch.execute(sql.encode(), [about]).fetchone()
        if found is not None:
            return found
        time.sleep(0.002)
    raise SystemExit("nothing came of a job or an attempt")


def parts(*, quick: bool) -> list[Figure]:
    """Return what comparing two pictures costs by itself."""
    chance = np.random.default_rng(7)
    samples = chance.integers(1, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    one, other = _png(samples), _png(samples + 1)
    figures = []
    for named, second in (("equal", one), ("every sample off by 1/255", other)):
        spent = []
        for _ in range(3 if quick else 15):
            began = now_ms()
            compare_pixels(io.BytesIO(one), io.BytesIO(second))
            spent.append(now_ms() - began)
        figures.append(Figure(name=f"comparing two of {SIZE} x {SIZE}, {named}, p50", value=median(spent), unit="ms"))
    return figures


def _png(samples: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    written = io.BytesIO()
    Image.fromarray(samples).save(written, "PNG", compress_level=4)
    return written.getvalue()


def everything(*, quick: bool) -> tuple[list[Figure], Machine]:
    """Return all figures, and what the machine did meanwhile."""
    place = Place()
    try:
        with watched() as machine:
            figures = parts(quick=quick)
            with stand_in() as url:
                drawn = prompt(random.Random().randrange(2**48), SIZE)
                figures += measure(place, url, "the stand-in", drawn, quick=quick)
            real = os.environ.get(REAL_VARIABLE)
            if real:
                figures += measure(
                    place, real, "a real ComfyUI", plain_colour(random.Random().randrange(2**24)), quick=quick
                )
    finally:
        place.close()
    return figures, machine


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs: a look, no verdict")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    figures, machine = everything(quick=asked.quick)
    for figure in figures:
        print(figure.line(), flush=True)
    print(machine.line())
    missed = [figure.name for figure in figures if figure.holds is False]
    print(f"{'all targets hold' if not missed else 'missed: ' + '; '.join(missed)}")
    if asked.json:
        document = {
            "machine": {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()},
            "figures": {
                figure.name: {"value": figure.value, "unit": figure.unit, "target": figure.target} for figure in figures
            },
        }
        asked.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
