"""How a job ended, as its record keeps it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.wire import CompleteRequest
from memoryd.ingest.facts import JobOutput, Recorded


def result_document(
    report: CompleteRequest, worker: WorkerIdentity, outputs: Sequence[JobOutput], recorded: Recorded | None
) -> dict[str, object]:
    """Return what `job_detail.result` is to hold: how the run ended, where, and what it made."""
    assets = recorded.assets if recorded is not None else ()
    ids = {asset.sha256: str(asset.asset_id) for asset in assets}
    return {
        "outcome": report.outcome.value,
        "prompt_id": str(report.prompt_id),
        "started_at": _utc(report.started_at),
        "ended_at": _utc(report.ended_at),
        "cached_nodes": list(report.cached_nodes),
        "environment_sha256": report.environment_sha256,
        "worker": worker.label,
        "worker_id": str(worker.worker_id),
        "outputs": [
            {
                "node": output.node,
                "output": output.output,
                "batch_index": output.batch_index,
                "filename": output.filename,
                "sha256": output.sha256.hex(),
                "size": output.size,
                "asset_id": ids.get(output.sha256),
            }
            for output in outputs
        ],
    }


def _utc(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat()
