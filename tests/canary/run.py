"""A worker that no longer makes what it made: found, told since when and after which change, and decided about.

Run: `make canary`. One `memoryd up` with the stand-in, which plays a machine with a torch: another torch rounds
otherwise. Everything is done by the commands that a person types. Prints `N passed, N failed`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from studio import RECOVERY_WAIT_S, Studio, studio, until

from memoryd_cli.demo import TXT2IMG

SETTLE_WAIT_S = 60.0
OLD, NEW = ("--torch", "2.8.0"), ("--torch", "2.9.0")
DRIFTED, NOT_ATTEMPTED = 11, 12
"""Exit codes of `canaries run --wait` and `reproduce --wait`."""


class Story:
    """What is done, and what was checked of it."""

    def __init__(self, one: Studio) -> None:
        self.one = one
        self.passed = self.failed = 0

    def check(self, name: str, holds: bool, detail: object = "") -> None:
        """Count a check and say it."""
        self.passed, self.failed = self.passed + holds, self.failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {name}{'' if holds else f' {detail}'}", flush=True)

    def do(self, *arguments: str) -> tuple[int, str]:
        """Say a command, run it, show and return what it says."""
        print(f"$ memoryd {' '.join(arguments)}", flush=True)
        ended = self.one.command(*arguments)
        told = ended.stdout + ended.stderr
        for line in told.splitlines():
            print(f"    {line}", flush=True)
        return ended.returncode, told

    def seen(self) -> dict[str, Any]:
        """The whole, as the API tells it."""
        answer: dict[str, Any] = self.one.client().get("/canaries")
        return answer

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first."""
        found: list[dict[str, Any]] = self.one.client().get("/canaries/runs")["items"]
        return found

    def settled(self, count: int) -> bool:
        """Wait until there are so many runs, and all are over."""
        return until(
            lambda: len(self.runs()) >= count and all(run["state"] == "over" for run in self.runs()), SETTLE_WAIT_S
        )

    def plays(self, torch: tuple[str, ...]) -> None:
        """Let the engine be started anew with another torch, and its worker hear of it."""
        print(f"-- the machine is brought to torch {torch[1]}", flush=True)
        self.one.restart_engine(*torch)

        def stated() -> bool:
            client = self.one.client()
            (worker,) = client.get("/workers")["items"]
            return bool(client.get(f"/workers/{worker['id']}")["environment"].get("torch") == torch[1])

        self.check(f"the worker states torch {torch[1]}", until(stated, SETTLE_WAIT_S))

    def made(self) -> str:
        """Let a picture be made, and return its SHA-256."""
        client = self.one.client()
        graph = json.dumps(TXT2IMG | {"5": {**TXT2IMG["5"], "inputs": {"width": 256, "height": 256, "batch_size": 1}}})
        job = client.post("/jobs", json={"graph": graph})["id"]
        until(lambda: client.get(f"/jobs/{job}")["state"] in ("succeeded", "dead"), SETTLE_WAIT_S)
        ended = client.get(f"/jobs/{job}")
        self.check("an ordinary job is done", ended["state"] == "succeeded", ended)
        return str(ended["result"]["outputs"][0]["sha256"])


def main() -> int:
    began = time.monotonic()
    with studio(delay_s=0.0, engine=OLD) as one:
        story = Story(one)
        one.client()
        until(lambda: any(worker["models"] for worker in one.client().get("/workers")["items"]), RECOVERY_WAIT_S)
        sha256 = story.made()
        story.do("approve", sha256)
        _kept(story)
        _drifts(story, sha256)
        _killed(story)
        _mended(story, sha256)
        _accepted(story)
        trail, told = story.do("audit", "verify")
        story.check("the audit trail verifies", trail == 0, told)
    print(f"{story.passed} passed, {story.failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if story.failed else 0


def _kept(story: Story) -> None:
    code, told = story.do("canaries", "set", "default", "--every", "1d", "--after-change", "--keep-out")
    story.check("a project keeps canaries", code == 0, told)
    story.check("the first run comes by itself", story.settled(1))
    first = story.runs()[0]
    story.check("it is as approved", (first["outcome"], first["verdict"]) == ("good", "identical file"), first)
    code, told = story.do("canaries", "run", "default", "--wait")
    story.check("it is as approved when it is asked for", code == 0, told)


def _drifts(story: Story, sha256: str) -> None:
    count = len(story.runs())
    story.plays(NEW)
    story.check("the change is noticed, and the canary runs by itself", story.settled(count + 1))
    run = story.runs()[0]
    story.check("its reason is the change", run["reason"] == "change", run)
    story.check("it drifted", run["outcome"] == "drifted", run)
    code, told = story.do("canaries", "list")
    (doubt,) = story.seen()["doubts"]
    good = next(one for one in story.runs() if one["outcome"] == "good")
    story.check("the worker is flagged, and kept out", doubt["keeps_out"] and doubt["decision"] is None, doubt)
    since = (doubt["last_good_at"], doubt["first_bad_at"]) == (good["ended_at"], run["ended_at"])
    story.check("since when: after the last good run", since, doubt)
    change = [(one["name"], one["then"], one["now"]) for one in doubt["change"]]
    story.check("after which change: torch, named first", change[:1] == [("torch", "2.8.0", "2.9.0")], change)
    story.check("the command says so", "torch: 2.8.0 then, 2.9.0 now" in told, told)
    code, told = story.do("reproduce", sha256, "--wait")
    refused = code == NOT_ATTEMPTED and "worker-kept-out" in told
    story.check("reproduction work is not given to it", refused, told)
    story.made()


def _killed(story: Story) -> None:
    count = len(story.runs())
    story.do("canaries", "run", "default")
    story.check("kill -9 of the follow-up work meanwhile", story.one.kill("work"))
    story.check("the run ends all the same", until(lambda: story.settled(count + 1), SETTLE_WAIT_S * 2))
    story.check("once", len(story.runs()) == count + 1, len(story.runs()))
    (doubt,) = story.seen()["doubts"]
    story.check("and is counted to the same doubt", doubt["bad_runs"] == 2, doubt)


def _mended(story: Story, sha256: str) -> None:
    count = len(story.runs())
    story.plays(OLD)
    story.check("the way back is noticed, too", story.settled(count + 1))
    (doubt,) = story.seen()["doubts"]
    story.check("it is good again, and still kept out", bool(doubt["good_again_at"]) and doubt["keeps_out"], doubt)
    code, told = story.do("canaries", "decide", doubt["id"], "--clear", "--note", "torch is back")
    story.check("somebody clears it", code == 0 and story.seen()["doubts"] == [], told)
    code, told = story.do("reproduce", sha256, "--wait")
    story.check("it gets reproduction work again, and makes it to the byte", code == 0, told)


def _accepted(story: Story) -> None:
    count = len(story.runs())
    story.plays(NEW)
    story.check("the same change is found again", story.settled(count + 1))
    (doubt,) = story.seen()["doubts"]
    code, told = story.do("canaries", "decide", doubt["id"], "--accept", "--note", "2.9 from now on")
    story.check("somebody accepts what it makes now", code == 0 and story.seen()["doubts"] == [], told)
    code, told = story.do("canaries", "run", "default", "--wait")
    story.check("that is its measure from now on", code == 0, told)
    run = story.runs()[0]
    compared = (run["outcome"], run["verdict"]) == ("good", "within tolerance")
    story.check("good against itself, within tolerance of the original", compared, run)


if __name__ == "__main__":
    sys.exit(main())
