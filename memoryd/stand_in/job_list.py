"""Runs as /api/jobs shows them: waiting, under way and ended in one list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.engine import Engine
from memoryd.stand_in.facts import Ended, QueuedRun, RunEnd

_STATES = {RunEnd.SUCCESS: "completed", RunEnd.ERROR: "failed", RunEnd.INTERRUPTED: "cancelled"}


def list_jobs(engine: Engine) -> list[dict[str, Json]]:
    """Return all runs that the engine knows, the newest first."""
    running, pending = engine.queued()
    jobs = [_waiting(run, "pending") for run in pending]
    jobs += [_waiting(running, "in_progress")] if running is not None else []
    jobs += [_ended(ended) for ended in engine.history().values()]
    return sorted(jobs, key=lambda job: -_created(job))


def show_job(engine: Engine, prompt_id: str) -> dict[str, Json] | None:
    """Return one run with its graph, and its outputs when it has ended; None where it is unknown."""
    ended = engine.history().get(prompt_id)
    if ended is not None:
        shown = _ended(ended)
        shown["outputs"] = ended.outputs
        shown["execution_status"] = ended.as_json()["status"]
        return {**shown, "workflow": _graph(ended.run)}
    running, pending = engine.queued()
    for run in pending:
        if run.prompt_id == prompt_id:
            return {**_waiting(run, "pending"), "workflow": _graph(run)}
    if running is not None and running.prompt_id == prompt_id:
        return {**_waiting(running, "in_progress"), "workflow": _graph(running)}
    return None


def cancel_job(engine: Engine, prompt_id: str) -> bool:
    """Stop a run or take it out of the queue. Returns whether it was there."""
    return engine.delete({prompt_id}) or engine.interrupt(prompt_id)


def _graph(run: QueuedRun) -> dict[str, Json]:
    return {"prompt": run.prompt, "extra_data": run.extra_data}


def _created(job: Mapping[str, Json]) -> int:
    value = job["create_time"]
    return value if isinstance(value, int) else 0


def _waiting(run: QueuedRun, state: str) -> dict[str, Json]:
    job: dict[str, Json] = {
        "id": run.prompt_id,
        "status": state,
        "priority": run.number,
        "create_time": run.extra_data["create_time"],
        "outputs_count": 0,
    }
    workflow = _workflow_id(run)
    return {**job, "workflow_id": workflow} if workflow is not None else job


def _ended(ended: Ended) -> dict[str, Json]:
    job = _waiting(ended.run, _STATES[ended.end])
    messages: list[Any] = ended.messages
    job["execution_start_time"] = messages[0][1]["timestamp"]
    job["execution_end_time"] = messages[-1][1]["timestamp"]
    files = [(node, file) for node, shown in _shown(ended) for file in shown]
    job["outputs_count"] = len(files)
    if files:
        node, file = files[-1]
        job["preview_output"] = {**file, "nodeId": node, "mediaType": "images"}
    if ended.end is RunEnd.ERROR:
        job["execution_error"] = messages[-1][1]
    return job


def _shown(ended: Ended) -> list[tuple[str, list[dict[str, Json]]]]:
    outputs: dict[str, Any] = ended.outputs
    return [(node, shown.get("images", [])) for node, shown in outputs.items()]


def _workflow_id(run: QueuedRun) -> Json:
    extra: Any = run.extra_data.get("extra_pnginfo")
    workflow = extra.get("workflow") if isinstance(extra, dict) else None
    return workflow.get("id") if isinstance(workflow, dict) else None
