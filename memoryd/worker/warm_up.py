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

PAUSE_FIRST_S = 5.0
PAUSE_LAST_S = 300.0
"""Between tries of a warm-up that fails: doubled from the first to the last."""

_log = log_for(__name__)


class WarmUpFailed(Unavailable):
    """The pool's warm-up graph does not run here."""


class Warmth:
    """Whether an engine is warm: a pool's graph was run in it since it last came back. Used by one thread."""

    def __init__(self, engine: Engine, stopping: Stopping) -> None:
        """It is cold."""
        self._engine = engine
        self._stopping = stopping
        self._generation = -1
        self._pause_s = PAUSE_FIRST_S

    def forget(self) -> None:
        """Run the graph again: it is another one."""
        self._generation = -1

    def is_there(self, graph: str | None) -> bool:
        """Tell whether nothing needs to be run for it."""
        return graph is None or self._generation == self._engine.generation

    def make(self, graph: str | None) -> bool:
        """Run the graph if that is still to be done; False, after a pause, where it fails or was stopped."""
        if graph is None or self.is_there(graph):
            return True
        generation = self._engine.generation
        _log.info("warming up")
        try:
            if not warm_up(self._engine, graph, self._stopping):
                return False
        except WarmUpFailed as error:
            pause = self._pause_s
            _log.error("no work is taken, the pool's warm-up graph fails: %s; again in %.0f s", error.detail, pause)
            self._pause_s = min(pause * 2, PAUSE_LAST_S)
            self._stopping.wait(pause)
            return False
        self._generation, self._pause_s = generation, PAUSE_FIRST_S
        return True


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
