"""An attempt to make a picture again, as commands tell it."""

from __future__ import annotations

from typing import Any

from memoryd_cli.output import say

_BESIDE = frozenset({"original_sha256", "made_sha256", "original_pixels", "made_pixels", "difference_picture"})
"""Measures that a receipt tells, and a terminal need not."""
_SAID_ALREADY = frozenset({"identical", "comparable"})
"""And those that the verdict says."""


def say_attempt(attempt: dict[str, Any]) -> None:
    """Print an attempt as it stands."""
    if attempt["state"] != "decided":
        say(f"job {attempt['job_id']} makes it again; `memoryd jobs watch {attempt['job_id']}` follows it")
        _say_notices(attempt)
        say(f"Next: `memoryd receipt show {attempt['id']}` tells the verdict")
        return
    say(f"verdict: {attempt['verdict']}")
    for cause in attempt["causes"]:
        say(f"  {cause['code']}: {cause['detail']}")
        if cause.get("tested"):
            word = {True: "holds", False: "ruled out", None: "tested"}[cause["tested"]["holds"]]
            say(f"    {word} ({cause['tested']['by']}): {cause['tested']['detail']}")
        if cause["next_step"]:
            say(f"  Next: {cause['next_step']}")
    for name, value in attempt["measures"].items():
        if name not in _BESIDE | _SAID_ALREADY:
            say(f"  {name}: {f'{value:.6g}' if isinstance(value, float) else value}")
    for run in attempt["second_runs"]:
        word = run["verdict"] or "waits or runs"
        say(f"  second run ({run['purpose']}): {word}{_beside_first(run)}")
    if attempt["testing"] in ("wanted", "running"):
        say(f"  second runs look for the reason: `memoryd receipt show {attempt['id']}` tells what they showed")
    if attempt["difference"]:
        say(f"  difference picture: memoryd receipt difference {attempt['id']} -o FILE.png")
    say(f"  receipt: memoryd receipt get {attempt['id']} -o FILE.json")


def say_waiting(attempt: dict[str, Any]) -> None:
    """Print that an attempt is waited for, and what its plan named in advance: it may wait for long."""
    if attempt["state"] != "decided":
        say(f"job {attempt['job_id']} makes it again; waiting for the verdict (Ctrl-C only stops waiting)")
        _say_notices(attempt)


def _say_notices(attempt: dict[str, Any]) -> None:
    for notice in (attempt.get("plan") or {}).get("notices", []):
        say(f"  {notice['code']}: {notice['detail']}")
        if notice["next_step"]:
            say(f"  Next: {notice['next_step']}")


def _beside_first(run: dict[str, Any]) -> str:
    as_first = run["measures"].get("as_first")
    return "" if as_first is None else ", equal to the first run" if as_first else ", unlike the first run"
