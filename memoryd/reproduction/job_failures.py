"""Why an attempt's job made nothing, said as a cause with what can be done about it."""

from __future__ import annotations

from memoryd.dispatch import routing
from memoryd.foundation.database import Database
from memoryd.foundation.ids import JobId
from memoryd.reproduction.facts import Cause

_KNOWN = {
    "model-drifted": ("model-drifted", "bring the file of then back to a worker, under any name, and ask again"),
    "pin-missing": ("model-missing", "put what it names on a worker, and ask again"),
    "environment-changed": (
        "environment-not-here",
        "ask again: the worker that matched was set up otherwise meanwhile (`memoryd environment look`)",
    ),
    "expired": ("worker-not-there", "start a worker of its pool, and ask again"),
    "worker-not-there": ("worker-not-there", "start that worker, or ask without it"),
    "cache-not-bypassed": (
        "served-from-cache",
        "let nobody else use that ComfyUI meanwhile, or give the worker one of its own (`--comfyui-dir`)",
    ),
    "lease-expired": (
        "worker-died",
        "see that worker's log: it went silent in the middle of the run, and so did the next",
    ),
    "worker-restarted": ("worker-died", "see that worker's log: it was started anew in the middle of the run"),
    "run-too-long": ("run-too-long", "raise the pool's limit (`memoryd pools edit --max-run`), and ask again"),
}
"""By the queue's word for the last try's end: the cause's code, and the next step."""


def read_failure(database: Database, job_id: JobId) -> Cause | None:
    """Return why a job's last try made nothing, None where none failed. Opens a unit of work of the farm."""
    with database.farm_work() as session:
        found = routing.why_it_failed(session, job_id)
    if found is None:
        return None
    kind, sentence = found
    code, step = _KNOWN.get(kind, ("job-failed", "`memoryd jobs show` tells more; mend the worker, then make it again"))
    return Cause(code=code, detail=sentence, next_step=step)
