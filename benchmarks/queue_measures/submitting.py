"""Submitting over HTTP to a real server process: behind 100,000 waiting jobs with workers at it, and to an idle worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch import node_specs
from memoryd.foundation.database import Database
from memoryd.stand_in.folders import MODELS
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.survey import Survey, look_around

from .figures import Figure, median, now_ms, percentile
from .places import Address, Place, join_worker
from .waiting_jobs import fill

WAITING = 100_000
CLAIMERS = 8
PACE = 20.0
"""Calls a second of one claimer at most: a claim and the report that ends it are two."""
SUBMIT_EVERY_S = 0.03


def prompt(number: int, size: int = 512) -> dict[str, Any]:
    """Return a graph in API format, the plainest that makes a picture from a text, with a seed of its own."""
    model = MODELS["checkpoints"][0]
    sampler = {"seed": number, "steps": 4, "cfg": 6.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["1", 0], "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["2", 0]}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": f"a fox by the river, {number}", "clip": ["1", 1]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "5": {"class_type": "KSampler", "inputs": sampler | links},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "bench"}},
    }


def submit(place: Place, *, quick: bool) -> list[Figure]:
    """Submissions one after the other, the graph checked against real node specifications, the estimate included."""
    count, idle_count = (150, 60) if quick else (600, 300)
    with survey_of_an_engine(place) as survey:
        database = Database(place.cluster.server_url())
        workers = [registered(database, place, f"gpu-{n}", survey) for n in range(CLAIMERS)]
        figures: list[Figure] = []
        with place.server() as address:
            figures += _idle(place, address, workers[0], idle_count)
        fill(
            place.cluster.superuser_url("memoryd"), count=WAITING, pool_id=place.pool.id, schema=place.scope.schema,
            prompt=prompt(0),
        )  # fmt: skip
        with place.server() as address:
            time.sleep(3.0)  # the first estimates are made
            figures += _behind(address, [], count, "nobody claiming", (None, None))
            named = f"{CLAIMERS} claimers of at most {PACE:g} calls/s"
            figures += _behind(address, workers, count, named, (10.0, 60.0), pace=PACE)
            figures += _behind(address, workers, count, f"{CLAIMERS} claimers without pause", (None, 80.0), pace=None)
        database.close()
    return figures


@contextlib.contextmanager
def survey_of_an_engine(place: Place) -> Iterator[Survey]:
    """What a worker finds in a ComfyUI (here the stand-in): node specifications, models, environment."""
    from memoryd.stand_in.serving import Options, running

    with running(Options()) as url:
        client = ComfyClient(url)
        try:
            survey = look_around(client, StateFolder(place.folder / "survey", "http://bench"))
        finally:
            client.close()
    yield survey


def registered(database: Database, place: Place, label: str, survey: Survey) -> tuple[str, str]:
    """Make a worker that states what was found; return its key and its start."""
    stated: dict[str, Any] = {
        "environment": dict(survey.environment),
        "models": list(survey.models),
        "nodes_sha256": survey.nodes_sha256.hex(),
        "classes": list(survey.classes),
    }
    worker, key = join_worker(database, place.scope, label, **stated)
    with database.farm_work() as session:
        if node_specs.wants_specs(session, worker):
            node_specs.keep_specs(session, worker, survey.nodes_sha256, survey.nodes)
    return key, str(worker.incarnation)


# --- with a queue


def _behind(
    address: Address,
    workers: Sequence[tuple[str, str]],
    count: int,
    named: str,
    targets: tuple[float | None, float | None],
    *,
    pace: float | None = None,
) -> list[Figure]:
    context = multiprocessing.get_context("fork")
    stop, calls = context.Event(), context.Value("i", 0)
    process = context.Process(target=claimers, args=(address, workers, pace, stop, calls), daemon=True)
    if workers:
        process.start()
        time.sleep(1.0)
    caller, dice, spent = address.caller(), random.Random(7), list[float]()
    began, first = time.monotonic(), int(calls.value)
    for number in range(count + 10):
        body = {"graph": prompt(dice.randrange(2**48)), "pool": "default", "key": f"{named}-{number}"}
        start = now_ms()
        answer = caller.post("/v1/jobs", body)
        if number >= 10:
            spent.append(now_ms() - start)
        assert not answer["known"]
        time.sleep(dice.uniform(0.5, 1.5) * SUBMIT_EVERY_S)
    rate = (int(calls.value) - first) / (time.monotonic() - began)
    stop.set()
    if workers:
        process.join()
    figures = [
        Figure(name=f"submit, {named}, p50", value=median(spent), unit="ms", target=targets[0]),
        Figure(name=f"submit, {named}, p99", value=percentile(spent, 0.99), unit="ms", target=targets[1]),
    ]
    return [*figures, Figure(name="   their calls in all", value=rate, unit="calls/s")] if workers else figures


def claimers(
    address: Address,
    workers: Sequence[tuple[str, str]],
    pace: float | None,
    stop: Any,
    calls: Any,
    brings: bool = False,
) -> None:
    """Claim and end jobs over HTTP, one thread for each worker, until `stop`; `calls` counts.

    `brings`: each report asks for the next job, so that a job is one call.
    """
    threads = [
        threading.Thread(target=_claimer, args=(address, key, incarnation, pace, stop, calls, brings))
        for key, incarnation in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _claimer(
    address: Address, key: str, incarnation: str, pace: float | None, stop: Any, calls: Any, brings: bool
) -> None:
    caller, job = address.caller(key), None
    asks = {"next": {"incarnation": incarnation, "loaded": ["model-0"]}} if brings else {}
    due = time.monotonic() + random.random() / (pace or 1.0)
    while not stop.is_set():
        if pace is not None:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic()) + 1 / pace
        if job is None:
            answer = caller.post("/v1/work/claim", {"incarnation": incarnation, "loaded": ["model-0"], "wait_s": 0})
            job = None if answer is None else answer["job"]
        else:
            job = caller.post("/v1/work/complete", {**cancelled_report(job), **asks}).get("next")
        with calls.get_lock():
            calls.value += 1


def cancelled_report(job: dict[str, Any]) -> dict[str, Any]:
    """Return the report that ends a job and brings nothing: what the queue does for it is the same."""
    moment = "2026-01-01T00:00:00Z"
    return {
        **{name: job[name] for name in ("job_id", "fence", "token")},
        "outcome": "cancelled",
        "prompt_id": job["job_id"],
        "started_at": moment,
        "ended_at": moment,
        "cached_nodes": [],
        "outputs": [],
        "environment_sha256": "0" * 64,
    }


# --- with an idle worker


def _idle(place: Place, address: Address, worker: tuple[str, str], count: int) -> list[Figure]:
    key, incarnation = worker
    claimed, ready, spent = list[tuple[float, str]](), threading.Event(), list[float]()
    ended = threading.Event()

    def wait_for_work() -> None:
        poller = address.caller(key)
        while not ended.is_set():
            ready.set()
            answer = poller.post("/v1/work/claim", {"incarnation": incarnation, "loaded": [], "wait_s": 2})
            if answer is not None:
                claimed.append((now_ms(), answer["job"]["job_id"]))
                poller.post("/v1/work/complete", cancelled_report(answer["job"]))

    thread = threading.Thread(target=wait_for_work)
    thread.start()
    caller = address.caller()
    for number in range(count + 5):
        ready.wait()
        ready.clear()
        time.sleep(random.uniform(0.03, 0.1))  # its long poll stands
        began = now_ms()
        answer = caller.post("/v1/jobs", {"graph": prompt(number)})
        until = time.monotonic() + 10
        while len(claimed) <= number and time.monotonic() < until:
            time.sleep(0.001)
        assert claimed[number][1] == answer["id"]
        if number >= 5:
            spent.append(claimed[number][0] - began)
    ended.set()
    thread.join()
    return [
        Figure(name="submit to claim on an idle worker that polls, p50", value=median(spent), unit="ms", target=15.0),
        Figure(
            name="submit to claim on an idle worker that polls, p99",
            value=percentile(spent, 0.99),
            unit="ms",
            target=60.0,
        ),
    ]
