"""A pool's warm-up graph: run before the first claim and after each restart of ComfyUI, so that no job waits for it."""

from __future__ import annotations

from memoryd.comfyui.errors import EngineDown, EngineTrouble, PromptRefused
from memoryd.comfyui.facts import RunState
from memoryd.dispatch.wire import Claimed, JobKind
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import new_id
from memoryd.foundation.logging import log_for
from memoryd.worker.engine import Engine, EngineEnded, EngineHangs, EngineTaken
from memoryd.worker.leases import Lease
from memoryd.worker.run_follower import RunFollower, RunTakenOut, Stopped, prompt_id_of
from memoryd.worker.stopping import Stopping

WARM_UP_LIMIT_S = 1_800.0
"""How long a warm-up may take: the largest models load from a network drive for minutes, and some nodes compile."""

_log = log_for(__name__)


class WarmUpFailed(Unavailable):
    """The pool's warm-up graph does not run here."""


def warm_up(engine: Engine, graph: str, stopping: Stopping) -> bool:
    """Run a graph to its end, for nothing but its warmth. Returns False when asked to end before it did.

    Raises: WarmUpFailed.
    """
    lease = _nobodys(graph)
    prompt_id = prompt_id_of(lease.claimed.job_id, lease.claimed.fence, 0)
    hint = "run the pool's warm-up graph by hand at this ComfyUI, or change it with `memoryd pools edit`"
    try:
        record = RunFollower(engine, lease, stopping).follow(0, free_first=False, known=False)
    except Stopped:
        if stopping.must_end():
            return False
        raise WarmUpFailed(f"it was not done after {WARM_UP_LIMIT_S:.0f} s", hint=hint) from None
    except PromptRefused as error:
        raise WarmUpFailed(f"ComfyUI refuses it: {error.detail}: {error.hint}", hint=hint) from error
    except (EngineEnded, EngineHangs, EngineTaken, RunTakenOut, EngineDown, EngineTrouble) as error:
        raise WarmUpFailed(error.detail, hint=hint) from error
    except MemorydError as error:
        raise WarmUpFailed(error.detail, hint=hint) from error
    finally:
        engine.tidy(prompt_id)
    if record.failure is not None and record.failure.out_of_memory:
        engine.recover("out of memory in the warm-up")
    if record.state is not RunState.SUCCESS:
        failure = record.failure
        reason = f"{failure.node_type}: {failure.exception}: {failure.message}" if failure else record.state.value
        raise WarmUpFailed(reason[:1_000], hint=hint)
    return True


def _nobodys(graph: str) -> Lease:
    """A lease that nobody granted: the run is followed like any other, and no server hears of it."""
    return Lease(
        Claimed(
            job_id=new_id(),
            fence=0,
            token="",
            attempt=1,
            kind=JobKind.RUN,
            prompt=graph,
            extra_data="{}",
            recompute=False,
            inputs=[],
            pins=[],
            lease_s=WARM_UP_LIMIT_S,
            deadline_s=WARM_UP_LIMIT_S,
        )
    )
