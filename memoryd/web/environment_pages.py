"""Environments: which there are, what one of them is and what of it is unknown, and what differs between two."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response

from memoryd.access.guards import Reader
from memoryd.catalog.environments import RUNS_COUNTED
from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.environments import finding, sources
from memoryd.reproduction.environments.members import device_names, unknown_members, word_of
from memoryd.web.rendering import page

router = APIRouter()

RUNS_SHOWN = 20
LISTS = ("packages", "node_packs")
"""Members that have a table of their own."""
VALUE_LIMIT = 300
"""Characters of a value that are shown."""


@router.get("/environments")
def list_environments(request: Request, work: Reader, cursor: str | None = None) -> Response:
    """The page of all environments, newest first."""
    found = finding.list_environments(work.session, work.caller, cursor=cursor, limit=None)
    rows = [
        {
            "sha256": each.sha256.hex(),
            "comfyui": word_of(each.document, "comfyui"),
            "torch": word_of(each.document, "torch"),
            "devices": device_names(each.document),
            "at": each.at,
            "runs": each.runs.runs,
            "workers": finding.names_of(each.stated, present=True),
        }
        for each in found.rows
    ]
    return page(
        request,
        "environments.html",
        caller=work.caller,
        rows=rows,
        next_cursor=found.next_cursor,
        counted=RUNS_COUNTED,
    )


@router.get("/environments/compare")
def compare_named(request: Request, work: Reader, then: str = "", now: str = "") -> Response:
    """The page of what differs between two environments, named in a form."""
    return compare(then.strip(), now.strip(), request, work)


@router.get("/environments/{ref}")
def show_environment(ref: str, request: Request, work: Reader) -> Response:
    """The page of one environment."""
    found = finding.find_environment(work.session, work.caller, ref)
    document = found.document
    packages = document.get("packages")
    return page(
        request,
        "environment.html",
        caller=work.caller,
        environment=found,
        sha256=found.sha256.hex(),
        members={name: spelled(value) for name, value in sorted(document.items()) if name not in LISTS},
        packages=dict(sorted(packages.items())) if isinstance(packages, dict) else {},
        packs=sources.packs_of(document),
        kept=sources.find_kept(work.session, document),
        unknown=unknown_members(document),
        runs=finding.list_runs(work.session, work.caller, found.sha256.hex(), cursor=None, limit=RUNS_SHOWN),
        counted=RUNS_COUNTED,
    )


@router.get("/environments/{then}/diff/{now}")
def compare(then: str, now: str, request: Request, work: Reader) -> Response:
    """The page of what differs between two environments."""
    before, after, nearness = finding.compare(work.session, work.caller, then, now)
    rows = [
        {"name": each.name, "then": spelled(each.then), "now": spelled(each.now), "bearing": each.bearing.value}
        for each in nearness.differences
    ]
    return page(
        request,
        "environment_diff.html",
        caller=work.caller,
        then=before.sha256.hex(),
        now=after.sha256.hex(),
        identical=nearness.identical,
        rows=rows,
    )


def spelled(value: Json) -> str | None:
    """Return a value in words of one line, None where there is none."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}…"
