"""A worker without an engine, over HTTP: claims, delivers a picture, and misbehaves as real ones do.

    light_worker.py STATE JOURNAL SEED URL [URL ...]

It comes late with old tokens, sends reports twice, forges tokens, fails, gives back, and falls silent. Started again
after a kill it is the same worker in a fresh start, and still knows what it held.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import sys
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

from calling import Away, Server
from journal import Journal, read

from memoryd.foundation.canonical_json import canonical_digest

ENVIRONMENT = {"comfyui": "chaos"}
LATE_OF_100, TWICE_OF_100, FORGED_OF_100, FAILED_OF_100, BACK_OF_100 = 8, 8, 4, 3, 3
BRINGS_NEXT_OF_100 = 60


def picture(number: int) -> bytes:
    """Return a small PNG that belongs to one number."""
    rows = b"".join(b"\0" + number.to_bytes(3, "big") * 8 for _ in range(8))
    prompt = json.dumps({"1": {"class_type": "EmptyImage", "inputs": {"color": number}}})

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) + chunk(b"tEXt", b"prompt\0" + prompt.encode())
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class LightWorker:
    """One start of it."""

    def __init__(self, state: Path, journal: Path, seed: int, urls: list[str]) -> None:
        """Take up what earlier starts left in the journal."""
        self.dice = random.Random(seed * 7919 + os.getpid())
        self.urls, self.state = urls, state
        self.incarnation = str(uuid.uuid4())
        # What earlier starts held and never reported: reported now, as a zombie would.
        open_leases: dict[tuple[str, int], dict[str, Any]] = {}
        for line in read(journal):
            if line["what"] == "grant":
                open_leases[line["job"], line["fence"]] = line
            elif line["what"] == "report":
                open_leases.pop((line["job"], line["fence"]), None)
        self.late: list[tuple[float, dict[str, Any]]] = [(0.0, line) for line in open_leases.values()]
        self.journal = Journal(journal)
        self.server = Server(urls, (state / "key").read_text())
        self.brought: dict[str, Any] | None = None

    def run(self) -> None:
        """Work until killed, or until whoever started it is gone."""
        self._register()
        starter = os.getppid()
        while os.getppid() == starter:
            try:
                self._turn()
            except Away:
                time.sleep(self.dice.uniform(0.05, 0.3))

    def _register(self) -> None:
        stated = {
            "incarnation": self.incarnation,
            "label": self.state.name,
            "host": "chaos",
            "environment": ENVIRONMENT,
            "models": [],
            "nodes_sha256": hashlib.sha256(b"chaos").hexdigest(),
            "classes": ["EmptyImage", "SaveImage"],
        }
        status, answer = self.server.insist("POST", "/v1/work/register", stated, until=time.monotonic() + 120)
        if status != 200:
            raise SystemExit(f"not registered: {status} {answer}")

    def _turn(self) -> None:
        now = time.monotonic()
        due = [one for one in self.late if one[0] <= now]
        if due and self.brought is None and self.dice.random() < 0.5:
            self.late.remove(due[0])
            self._report(due[0][1], "ok")
            return
        job, self.brought = self.brought or self._claim(), None
        if job is None:
            return
        grant = {"job": job["job_id"], "fence": job["fence"], "token": job["token"], "number": _number(job["prompt"])}
        self.journal.note("grant", **grant)
        lot = self.dice.randrange(100)
        if lot < LATE_OF_100:
            # Silent for longer than the lease lives, and then back with an old token.
            self.late.append((now + job["lease_s"] * self.dice.uniform(0.5, 2.0), grant))
            return
        if lot < LATE_OF_100 + FORGED_OF_100:
            self._report({**grant, "token": "forged-" + uuid.uuid4().hex}, "ok", forged=True)
        if lot < LATE_OF_100 + FORGED_OF_100 + BACK_OF_100:
            released = {name: job[name] for name in ("job_id", "fence", "token")}
            status, _ = self.server.post("/v1/work/release", {**released, "reason": "chaos", "counts": False})
            self.journal.note("report", job=grant["job"], fence=grant["fence"], how="release", status=status)
            return
        how = "error" if self.dice.randrange(100) < FAILED_OF_100 else "ok"
        self._report(grant, how, asks=self.dice.randrange(100) < BRINGS_NEXT_OF_100)
        if self.dice.randrange(100) < TWICE_OF_100:
            self._report(grant, how)

    def _claim(self) -> dict[str, Any] | None:
        request = {"incarnation": self.incarnation, "loaded": [], "wait_s": 1.0}
        status, answer = self.server.post("/v1/work/claim", request)
        if status not in (200, 204):
            self.journal.note("refused", call="claim", status=status)
            time.sleep(0.2)
        if status == 409:
            # An earlier start's slow registration came after this one's: a real worker ends, and is started again.
            raise SystemExit("another start is registered")
        return answer["job"] if status == 200 else None

    def _report(self, grant: dict[str, Any], how: str, *, forged: bool = False, asks: bool = False) -> None:
        """Deliver, and insist on an answer: a report that was lost on its way is sent again."""
        until = time.monotonic() + 60
        content = picture(grant["number"])
        sha256 = hashlib.sha256(content).hexdigest()
        report = {name: grant[of] for name, of in (("job_id", "job"), ("fence", "fence"), ("token", "token"))}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        report |= {
            "outcome": how, "prompt_id": str(uuid.uuid4()), "started_at": moment, "ended_at": moment, "cached_nodes": [],
            "environment_sha256": canonical_digest(dict(ENVIRONMENT)).hex(), "outputs": [], "error": None,
            "next": {"incarnation": self.incarnation, "loaded": []} if asks else None,
        }  # fmt: skip
        status, answer = 0, None
        while True:
            try:
                if how == "ok":
                    path = f"/v1/work/outputs/{grant['job']}/0?fence={grant['fence']}&token={grant['token']}&sha256={sha256}"
                    status, answer = self.server.ask("PUT", path, content)
                    report["outputs"] = [_output(content, sha256)]
                else:
                    report["error"] = {"kind": "execution-error", "message": "chaos"}
                # A late worker's upload is refused already; its report is sent all the same.
                status, answer = self.server.post("/v1/work/complete", report)
                break
            except Away:
                if time.monotonic() > until:
                    break
                time.sleep(self.dice.uniform(0.05, 0.4))
        said = answer.get("answer") if isinstance(answer, dict) else None
        if isinstance(answer, dict) and answer.get("next"):
            self.brought = answer["next"]
        what = "forgery" if forged else "report"
        self.journal.note(what, job=grant["job"], fence=grant["fence"], how=how, status=status, answer=said)


def _number(prompt: str) -> int:
    return int(json.loads(prompt)["1"]["inputs"]["color"])


def _output(content: bytes, sha256: str) -> dict[str, Any]:
    return {
        "index": 0, "node": "2", "output": "images", "batch_index": 0, "filename": "chaos_00001_.png", "subfolder": "",
        "type": "output", "sha256": sha256, "size": len(content), "media_type": "image/png",
    }  # fmt: skip


if __name__ == "__main__":
    LightWorker(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]).run()
