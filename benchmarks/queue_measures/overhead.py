"""A job through memoryd beside the same ComfyUI spoken to directly: what recording, queueing and proving cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from memoryd.foundation.database import Database

from .figures import Figure, median, now_ms, percentile
from .places import Place
from .submitting import prompt

TARGET_MS = 60.0
REAL_VARIABLE = "MEMORYD_TEST_COMFYUI_URL"
SIZE = 832
"""Pixels of an edge: the stand-in's picture of that size is a PNG of 1 to 2 MB."""


def overhead(place: Place, *, quick: bool) -> list[Figure]:
    """Milliseconds that a job takes longer, jobs of both ways in turns on one engine. Both see the picture's bytes.

    Directly: prompt sent, end heard of over its WebSocket, history read, picture fetched. Through memoryd: submitted,
    run by a worker process, uploaded, hashed, recorded, committed.
    """
    count = 15 if quick else 60
    figures: list[Figure] = []
    with stand_in() as url:
        figures += _measure(place, url, "the stand-in", count, _drawn)
    real = os.environ.get(REAL_VARIABLE)
    if real:
        figures += _measure(place, real, "a real ComfyUI", count, plain_colour)
    return figures


def _drawn(number: int) -> dict[str, Any]:
    return prompt(number, SIZE)


def plain_colour(number: int) -> dict[str, Any]:
    """A graph that every ComfyUI runs without a model: noise would need one, so this is a plain colour."""
    picture = {"width": 1024, "height": 1024, "batch_size": 1, "color": number % 2**24}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
    }


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    """The address of a stand-in process, while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "memoryd_cli", "stand-in", "--port", "0"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        found = re.search(rb"https?://\S+", process.stdout.readline())
        assert found is not None
        yield found[0].decode()
    finally:
        process.terminate()
        process.wait(20)


def _measure(place: Place, comfyui: str, named: str, count: int, graph: Any) -> list[Figure]:
    dice, direct, through, sizes = random.Random(), list[float](), list[float](), list[int]()
    database = Database(place.cluster.server_url())
    with place.server() as address, psycopg.connect(place.cluster.superuser_url("memoryd"), autocommit=True) as watch:
        made = address.caller().post("/v1/workers", {"pool": "default", "label": f"bench {named}"})
        worker = place.start(
            "worker", "--server", address.url, "--comfyui", comfyui, "--state", str(place.folder / f"worker {named}"),
            MEMORYD_JOIN_TOKEN=made["token"],
        )  # fmt: skip
        try:
            caller = address.caller()
            for number in range(count + 5):
                took, size = run_directly(comfyui, graph(dice.randrange(2**48)))
                spent = _through(caller, watch, graph(dice.randrange(2**48)))
                if number >= 5:
                    direct.append(took)
                    through.append(spent)
                    sizes.append(size)
        finally:
            place.stop(worker)
    database.close()
    extra = [one - other for one, other in zip(through, direct, strict=True)]
    return [
        Figure(name=f"{named}: a job directly, p50", value=median(direct), unit="ms"),
        Figure(name=f"{named}: a job through memoryd, p50", value=median(through), unit="ms"),
        Figure(name=f"{named}: size of its picture", value=median(sizes) / 1e6, unit="MB"),
        Figure(name=f"{named}: overhead, p50", value=median(extra), unit="ms", target=TARGET_MS),
        Figure(name=f"{named}: overhead, p90", value=percentile(extra, 0.9), unit="ms"),
    ]


def run_directly(url: str, graph: dict[str, Any]) -> tuple[float, int]:
    """Return the milliseconds from a prompt to its picture's bytes, and how many those are."""
    host = url.partition("://")[2].rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=120)
    began = now_ms()
    answer = _ask(connection, "POST", "/prompt", {"prompt": graph, "client_id": "bench"})
    prompt_id = answer["prompt_id"]
    while True:
        history = _ask(connection, "GET", f"/history/{prompt_id}", None)
        if history.get(prompt_id, {}).get("status", {}).get("completed"):
            break
        time.sleep(0.002)
    image = next(one for node in history[prompt_id]["outputs"].values() for one in node.get("images", ()))
    connection.request("GET", f"/view?filename={image['filename']}&subfolder={image['subfolder']}&type={image['type']}")
    content = connection.getresponse().read()
    spent = now_ms() - began
    connection.close()
    return spent, len(content)


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: object) -> Any:
    content = None if body is None else json.dumps(body).encode()
    connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())


def _through(caller: Any, watch: psycopg.Connection[Any], graph: dict[str, Any]) -> float:
    began = now_ms()
    job_id = caller.post("/v1/jobs", {"graph": graph})["id"]
    until = time.monotonic() + 120
    while time.monotonic() < until:
        # The record's commit, seen from outside: asking the server itself would take its time away from the job.
        found = watch.execute("select state from farm.job where id = %s", [job_id]).fetchone()
        assert found is not None
        if found[0] == "succeeded":
            spent = now_ms() - began
            time.sleep(0.15)  # the worker asks for work again; that is not this job's time
            return spent
        if found[0] in ("dead", "cancelled", "expired", "delayed"):
            raise SystemExit(f"a job ended as {found[0]}")
        time.sleep(0.002)
    raise SystemExit("a job did not end")
