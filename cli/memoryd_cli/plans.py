"""`reproduce --plan`: what making it again needs and who could do it; and, of many, what can no longer be made and why."""

from __future__ import annotations

import json as json_text
from typing import Any

import typer

from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import asset_of, at

EXIT_HINDERED = 12
"""As of a verdict: it would not be attempted."""
DIFFERENCES_LIMIT = 6
"""Differences of a worker's environment that are told; --json has the heaviest twenty."""


def say_plan(asset: str, *, json: bool) -> None:
    """Print the plan of one asset; the exit code is EXIT_HINDERED where something stands in the way."""
    plan = server().get(at(asset_of(asset), "plan"))
    if json:
        as_json(plan)
    else:
        _say(plan)
    if not plan["possible"]:
        raise typer.Exit(EXIT_HINDERED)


def say_outlook(
    project: str | None, search: str | None, *, approved: bool, show: str, limit: int, cursor: str | None, json: bool
) -> None:
    """Print what of a project or a search can no longer be made, and why, with counts by cause."""
    page = server().get("/plans", project=project, q=search, approved=approved, show=show, limit=limit, cursor=cursor)
    if json:
        as_json(page)
        return
    counted = page["counted"]
    if counted is not None:
        more = " (there are more, which were not looked at)" if counted["truncated"] else ""
        say(f"{counted['possible']} of {counted['lines']} pictures can be made again as things stand{more}.")
        table(["cause", "pictures"], counted["by_cause"].items())
        say()
    rows = [
        [item["face"]["id"], item["face"]["name"], cause["code"], cause["detail"], cause["next_step"]]
        for item in page["items"]
        for cause in (*item["hindrances"], *(item["notices"] if show != "hindered" else ()))
    ]
    table(["asset", "name", "cause", "why", "next"], rows)
    if page["next_cursor"]:
        say(f"More: add --cursor {page['next_cursor']}")


def _say(plan: dict[str, Any]) -> None:
    say("can be made again now" if plan["possible"] else "cannot be made again as things stand")
    if plan["of_asset"] != plan["asset_id"]:
        say(f"of: {plan['of_asset']}, which this is a copy of")
    _say_causes("missing", plan["hindrances"])
    _say_causes("known in advance", [cause for cause in plan["notices"] if cause not in plan["hindrances"]])
    if plan["generation_id"] is None:
        return
    say(f"graph: {plan['prompt_bytes']} bytes, verbatim; other texts: {', '.join(plan['extras']) or 'none'}")
    if (plan["batch_size"] or 1) > 1:
        say(f"batch: {plan['batch_size']} pictures, made again together{_place(plan)}")
    for file in plan["inputs"]:
        say(f"input: {'/'.join(filter(None, (file['subfolder'], file['name'])))}  {file['sha256']}")
    for model in plan["models"]:
        say(f"model: {model['folder']}/{model['name']}  {model['sha256'] or 'content then not known'}")
    say(f"environment: {plan['environment'] or 'not known: the file does not tell, and no job recorded it'}")
    for worker in plan["workers"]:
        _say_worker(worker)


def _place(plan: dict[str, Any]) -> str:
    return "" if plan["batch_index"] is None else f"; this is number {plan['batch_index']}, counted from 0"


def _say_causes(heading: str, causes: list[dict[str, Any]]) -> None:
    if causes:
        say(f"{heading}:")
    for cause in causes:
        say(f"  {cause['code']}: {cause['detail']}")
        if cause["next_step"]:
            say(f"  Next: {cause['next_step']}")


def _say_worker(worker: dict[str, Any]) -> None:
    stands = "fits" if worker["fits"] else "does not fit"
    pools = ", ".join(worker["pools"]) or "no pool"
    say(
        f"worker: {worker['label']} ({pools}; {'online' if worker['online'] else 'offline'}): {stands}, {_near(worker)}"
    )
    for cause in worker["lacks"]:
        say(f"  {cause['code']}: {cause['detail']}")
    for difference in worker["differences"][:DIFFERENCES_LIMIT]:
        say(f"  {difference['name']}: {_word(difference['then'])} then, {_word(difference['now'])} there")
    if worker["differences_found"] > DIFFERENCES_LIMIT:
        say(f"  {worker['differences_found'] - DIFFERENCES_LIMIT} more differences")


def _near(worker: dict[str, Any]) -> str:
    if not worker["known"]:
        return "then's environment is not known"
    if worker["identical"]:
        return "the same environment"
    found = worker["differences_found"]
    return "1 difference" if found == 1 else f"{found} differences"


def _word(value: object) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else json_text.dumps(value, ensure_ascii=False)
