"""Those who ask for work, over HTTP: a submitter with idempotency keys, and somebody who cancels, replays and pauses.

people.py submit|meddle JOURNAL_FOLDER NAME SEED COUNT KEY URL [URL ...]
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from calling import Away, Server
from journal import Journal, read

PATIENCE_S = 90.0


def graph(number: int) -> dict[str, Any]:
    """Return a graph that any engine runs in a moment, and whose picture nobody else asks for."""
    picture = {"width": 8, "height": 8, "batch_size": 1, "color": number}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": f"chaos_{number}"}},
    }


def submit(journal_path: Path, seed: int, count: int, server: Server) -> None:
    """Submit so many jobs, one key each; after a kill go on, and ask again for what was never answered."""
    dice = random.Random(seed + os.getpid())
    asked = dict[int, bool]()
    for line in read(journal_path):
        if line["what"] == "asked":
            asked.setdefault(line["number"], False)
        elif line["what"] == "queued":
            asked[line["number"]] = True
    journal, starter = Journal(journal_path), os.getppid()
    numbers = [number for number, answered in asked.items() if not answered]
    numbers += range(seed * 100_000 + len(asked), seed * 100_000 + count)
    for number in numbers:
        if os.getppid() != starter:
            return
        body: dict[str, Any] = {
            "graph": graph(number),
            "key": f"chaos-{number}",
            # The same for one number: what is asked for again under its key must be the same.
            "urgency": random.Random(number).choices(["realtime", "standard", "batch"], [2, 6, 2])[0],
        }
        journal.note("asked", number=number, key=body["key"])
        # Asked twice at once in a while, as by somebody who is impatient: it is one job all the same.
        for _ in range(2 if dice.random() < 0.05 else 1):
            status, answer = server.insist("POST", "/v1/jobs", body, until=time.monotonic() + PATIENCE_S)
            if status != 201:
                journal.note("refused", call="submit", status=status, answer=answer)
                raise SystemExit(f"a job was refused: {status} {answer}")
            journal.note("queued", number=number, job=answer["id"], known=answer["known"])
        time.sleep(dice.uniform(0, 0.02))
    journal.note("done")
    while os.getppid() == starter:
        time.sleep(0.5)


def meddle(folder: Path, name: str, seed: int, server: Server) -> None:
    """Cancel, replay and pause, again and again."""
    journal, dice, starter = Journal(folder / f"{name}.jsonl"), random.Random(seed + os.getpid()), os.getppid()
    while os.getppid() == starter:
        with contextlib.suppress(Away):
            _meddle_once(folder, journal, dice, server)
        time.sleep(dice.uniform(0.05, 0.25))


def _meddle_once(folder: Path, journal: Journal, dice: random.Random, server: Server) -> None:
    lot = dice.random()
    if lot < 0.6:
        jobs = [
            line["job"] for path in folder.glob("submit-*.jsonl") for line in _tail(path) if line["what"] == "queued"
        ]
        if jobs:
            job = dice.choice(jobs)
            status, answer = server.insist("POST", f"/v1/jobs/{job}/cancel", {}, until=time.monotonic() + 30)
            journal.note("cancel", job=job, status=status, answer=(answer or {}).get("answer"))
    elif lot < 0.8:
        _, answer = server.ask("GET", "/v1/jobs/dead?limit=20")
        for item in (answer or {}).get("items", [])[:3]:
            status, _ = server.post(f"/v1/jobs/{item.get('job_id') or item.get('id')}/replay", {})
            journal.note("replay", job=item.get("job_id") or item.get("id"), status=status)
    else:
        scope = dice.choice(["pools/default", "projects/default"])
        status, _ = server.post(f"/v1/{scope}/pause", {})
        journal.note("pause", scope=scope, status=status)
        time.sleep(dice.uniform(0.1, 1.0))
        status, _ = server.insist("POST", f"/v1/{scope}/resume", {}, until=time.monotonic() + 30)
        journal.note("resume", scope=scope, status=status)


def _tail(path: Path) -> list[dict[str, Any]]:
    return list(read(path))[-60:]


if __name__ == "__main__":
    _, kind, place, own_name, seed_text, count_text, api_key, *addresses = sys.argv
    if kind == "submit":
        submit(Path(place) / f"{own_name}.jsonl", int(seed_text), int(count_text), Server(addresses, api_key))
    else:
        meddle(Path(place), own_name, int(seed_text), Server(addresses, api_key))
