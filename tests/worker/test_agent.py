"""The worker against a server and an engine that both speak real HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.comfyui.catalogue_document import unpack_catalogue
from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch.wire import CompleteRequest, JobKind, Outcome, Pin
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.worker.agent import NotJoined
from memoryd.worker.job_run import RECOMPUTE_TRIES
from memoryd.worker.run_follower import prompt_id_of
from memoryd.worker.server_link import KeyRefused
from memoryd.worker.state_folder import StateFolder, WorkerRunsAlready

CHECKPOINT = "memoryd-stand-in-no-real-model.safetensors"


def picture(colour: int = 255) -> str:
    return json.dumps(
        {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 2, "color": colour}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "w/x"}},
        }
    )


def long_painting(steps: int = 10_000) -> str:
    inputs: dict[str, Any] = {"seed": 2**64 - 1, "steps": steps, "cfg": 7.0, "sampler_name": "euler"}
    inputs |= {"scheduler": "normal", "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0]}
    return json.dumps(
        {
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["4", 1]}},
            "3": {"class_type": "KSampler", "inputs": {**inputs, "latent_image": ["5", 0]}},
            "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
            "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "w/p", "images": ["8", 0]}},
        }
    )


def with_loaded(name: str) -> str:
    return json.dumps(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": name}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "w/l"}},
        }
    )


def only(server: Any) -> CompleteRequest:
    server.wait_for(lambda: server.completed)
    (completed,) = server.completed
    assert isinstance(completed, CompleteRequest)
    return completed


def test_a_worker_joins_once_and_tells_what_it_has(server: Any, start: Any, tmp_path: Path) -> None:
    with start():
        server.wait_for(lambda: server.registered)
    with start():
        server.wait_for(lambda: len(server.registered) == 2)
    assert unpack_catalogue(server.nodes[server.registered[0].nodes_sha256]).is_output("SaveImage")
    first, second = server.registered
    assert len(server.joined) == 1
    assert first.incarnation != second.incarnation
    assert first.environment["stand_in"] == "1"
    assert first.environment == second.environment
    assert CHECKPOINT in [model.path for model in first.models if model.folder == "checkpoints"]
    assert {"KSampler", "SaveImage"} <= set(first.classes)
    (key,) = (tmp_path / "state").glob("*.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(server.left) == 2


def test_a_worker_without_token_or_key_says_what_to_do(worker_options: Any, start: Any) -> None:
    with pytest.raises(NotJoined) as refused, start(options=dataclasses.replace(worker_options, token=None)):
        pass
    assert "memoryd workers add" in str(refused.value.hint)


def test_a_worker_that_the_server_does_not_know_ends(server: Any, worker_options: Any, start: Any) -> None:
    StateFolder(worker_options.state, server.url).keep_key("somebody else's")
    with pytest.raises(KeyRefused), start():
        pass


def test_two_workers_cannot_share_a_state_folder(server: Any, start: Any) -> None:
    with start():
        server.wait_for(lambda: server.registered)
        with pytest.raises(WorkerRunsAlready), start():
            pass


def test_a_job_is_run_and_every_file_of_it_delivered(server: Any, start: Any) -> None:
    with start():
        job = server.add(picture(), extra_data='{"extra_pnginfo": {"zz": 1, "author": "me"}}')
        completed = only(server)
    assert completed.outcome is Outcome.OK
    assert str(completed.prompt_id) == prompt_id_of(job.job_id, job.fence, 0)
    assert [(o.index, o.node, o.output, o.batch_index, o.type, o.media_type) for o in completed.outputs] == [
        (0, "2", "images", 0, "output", "image/png"),
        (1, "2", "images", 1, "output", "image/png"),
    ]
    for output in completed.outputs:
        content = server.stored[job.job_id, output.index]
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (output.sha256, output.size)
        assert content.index(b"tEXtzz\x001") < content.index(b'tEXtauthor\0"me"')


def test_a_server_that_takes_no_whole_results_gets_outputs_and_report_one_by_one(server: Any, start: Any) -> None:
    server.takes_results = False
    with start():
        jobs = [server.add(picture(colour)) for colour in (1, 2)]
        server.wait_for(lambda: len(server.completed) == 2)
    assert sorted(server.stored) == sorted((job.job_id, index) for job in jobs for index in (0, 1))


def test_what_is_submitted_is_the_text_as_it_was(server: Any, start: Any) -> None:
    spelled = picture().replace('"color": 255', '"color":255, "note": 1.50, "seed":18446744073709551615')
    with start():
        job = server.add(spelled)
        only(server)
    assert b'"note": 1.5, "seed": 18446744073709551615' in server.stored[job.job_id, 0]


def test_progress_is_told_while_it_runs(server: Any, start: Any) -> None:
    with start():
        server.add(long_painting(steps=300))
        only(server)
    told = [beat for request in server.beats for beat in request.leases]
    shares = [beat.progress for beat in told if beat.progress is not None]
    assert shares == sorted(shares)
    assert any(0 < share < 1 for share in shares)
    assert "3" in [beat.node for beat in told]


def test_a_cancelled_job_is_interrupted_and_only_it(server: Any, start: Any, engine_url: str) -> None:
    with start(), ComfyClient(engine_url) as comfyui:
        job = server.add(long_painting())
        server.wait_for(lambda: comfyui.queue().running)
        other = comfyui.submit(picture(7)).prompt_id
        server.cancelled.add(job.job_id)
        completed = only(server)
        server.wait_for(lambda: comfyui.history(other))
        assert str(comfyui.history(other).state) == "success"  # type: ignore[union-attr]
    assert (completed.outcome, completed.outputs) == (Outcome.CANCELLED, [])


def test_a_job_that_became_anothers_is_dropped_without_a_word(server: Any, start: Any, engine_url: str) -> None:
    with start(), ComfyClient(engine_url) as comfyui:
        job = server.add(long_painting())
        server.wait_for(lambda: comfyui.queue().running)
        del server.held[job.job_id]
        server.wait_for(lambda: not comfyui.queue().running)
        server.add(picture())
        assert only(server).job_id != job.job_id
    assert server.released == []


def test_a_lost_reply_is_asked_for_again_and_recorded_once(server: Any, start: Any, tmp_path: Path) -> None:
    server.lose_replies = 2
    with start():
        server.add(picture())
        only(server)
        server.wait_for(lambda: not list((tmp_path / "state" / "finished").iterdir()))
    assert len(server.completed) == 1


def test_a_result_outlives_a_server_that_is_away_and_the_worker(server: Any, start: Any, tmp_path: Path) -> None:
    finished = tmp_path / "state" / "finished"
    with start():
        job = server.add(long_painting(steps=100))
        server.wait_for(lambda: job.job_id in server.held)
        server.down = True
        server.wait_for(lambda: list(finished.glob("*/completion.json")))
    server.down = False
    assert server.completed == []
    with start():
        assert only(server).outcome is Outcome.OK
        server.wait_for(lambda: not list(finished.iterdir()))
    assert job.job_id in [stored for stored, _ in server.stored]


def test_a_result_that_comes_too_late_is_dropped(server: Any, start: Any, tmp_path: Path) -> None:
    finished = tmp_path / "state" / "finished"
    with start():
        job = server.add(long_painting(steps=100))
        server.wait_for(lambda: job.job_id in server.held)
        server.down = True
        server.wait_for(lambda: list(finished.glob("*/completion.json")))
    server.down = False
    del server.held[job.job_id]
    with start():
        server.wait_for(lambda: not list(finished.iterdir()))
    assert server.completed == []


def test_recomputing_executes_every_node_though_all_were_cached(server: Any, start: Any) -> None:
    with start():
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 1)
        server.add(picture(), recompute=True, kind=JobKind.REPRODUCE)
        server.wait_for(lambda: len(server.completed) == 2)
    first, second = server.completed
    assert second.cached_nodes == []
    assert [output.sha256 for output in second.outputs] == [output.sha256 for output in first.outputs]
    assert [output.filename for output in second.outputs] != [output.filename for output in first.outputs]


def test_a_wish_to_forget_that_comes_too_late_is_noticed_and_the_graph_runs_again(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = ComfyClient.free
    asked: list[ComfyClient] = []

    def too_late(comfyui: ComfyClient) -> None:
        # Flag and graph arrive in one wake-up: ComfyUI runs the graph first, and drops its caches after it.
        asked.append(comfyui)
        if len(asked) > 1:
            free(comfyui)

    monkeypatch.setattr(ComfyClient, "free", too_late)
    with start():
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 1)
        server.add(picture(), recompute=True, kind=JobKind.REPRODUCE)
        server.wait_for(lambda: len(server.completed) == 2)
    assert server.completed[1].cached_nodes == []
    assert len(asked) == 2


def test_a_cache_that_cannot_be_emptied_is_no_result(server: Any, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ComfyClient] = []
    monkeypatch.setattr(ComfyClient, "free", lambda comfyui: asked.append(comfyui))
    with start():
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 1)
        server.add(picture(), recompute=True, kind=JobKind.REPRODUCE)
        server.wait_for(lambda: len(server.completed) == 2)
    error = server.completed[1].error
    assert error is not None
    assert (error.kind, len(asked)) == ("cache-not-bypassed", RECOMPUTE_TRIES)


def test_a_run_of_which_nobody_tells_what_came_from_the_cache_proves_nothing(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = ComfyClient.history

    def silent(comfyui: ComfyClient, prompt_id: str, **limits: Any) -> Any:
        record = history(comfyui, prompt_id, **limits)
        return None if record is None else dataclasses.replace(record, cached_nodes=(), told_cached=False)

    monkeypatch.setattr(ComfyClient, "history", silent)
    with start():
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 1)
        server.add(picture(), recompute=True, kind=JobKind.REPRODUCE)
        server.wait_for(lambda: len(server.completed) == 2)
    assert [each.error and each.error.kind for each in server.completed] == [None, "cache-not-bypassed"]


def test_a_job_for_another_environment_is_given_back(server: Any, start: Any) -> None:
    with start():
        server.add(picture(), environments=["0" * 64])
        server.wait_for(lambda: server.released)
    assert server.released[0].kind == "environment-changed"


def test_previews_are_delivered_only_to_be_compared(server: Any, start: Any) -> None:
    graph = json.loads(picture())
    graph["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    with start():
        server.add(json.dumps(graph), recompute=True)
        server.wait_for(lambda: len(server.completed) == 1)
        server.add(json.dumps(graph), recompute=True, kind=JobKind.REPRODUCE)
        server.wait_for(lambda: len(server.completed) == 2)
    types = [[output.type for output in completed.outputs] for completed in server.completed]
    assert [sorted(each) for each in types] == [["output"] * 2, ["output"] * 2 + ["temp"] * 2]
    assert [output.index for output in server.completed[1].outputs] == [0, 1, 2, 3]


def test_a_cached_run_whose_file_is_gone_is_made_anew(server: Any, start: Any, engine_home: Path) -> None:
    with start():
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 1)
        for file in (engine_home / "output" / "w").iterdir():
            file.unlink()
        server.add(picture())
        server.wait_for(lambda: len(server.completed) == 2)
    assert [output.sha256 for output in server.completed[1].outputs] == [
        output.sha256 for output in server.completed[0].outputs
    ]


def test_an_input_has_its_own_name_for_the_run_and_somebody_elses_file_comes_back(
    server: Any, start: Any, engine_home: Path, fixtures: Path
) -> None:
    mine = (fixtures / "images" / "txt2img_basic.png").read_bytes()
    theirs = (fixtures / "images" / "txt2img_lora.png").read_bytes()
    with start():
        server.wait_for(lambda: server.registered)
        (engine_home / "input" / "fox.png").write_bytes(theirs)
        job = server.add(with_loaded("fox.png"), inputs=[server.add_input(mine, "fox.png")])
        only(server)
        server.wait_for(lambda: (engine_home / "input" / "fox.png").read_bytes() == theirs)
    content = server.stored[job.job_id, 0]
    assert f'"is_changed": ["{hashlib.sha256(mine).hexdigest()}"]'.encode() in content


def test_a_recorded_is_changed_is_not_submitted(server: Any, start: Any, fixtures: Path) -> None:
    mine = (fixtures / "images" / "txt2img_basic.png").read_bytes()
    prompt = json.loads(with_loaded("fox.png"))
    prompt["1"]["is_changed"] = ["0" * 64]
    with start():
        job = server.add(json.dumps(prompt), inputs=[server.add_input(mine, "fox.png")])
        only(server)
    assert hashlib.sha256(mine).hexdigest().encode() in server.stored[job.job_id, 0]


def test_a_missing_model_gives_the_job_back_uncounted(server: Any, start: Any) -> None:
    with start():
        server.add(picture(), pins=[Pin(folder="checkpoints", name="absent.safetensors")])
        server.wait_for(lambda: server.released)
    (released,) = server.released
    assert not released.counts
    assert released.reason.startswith("checkpoints/absent.safetensors is not on this ComfyUI: put the file there")


def test_a_graph_that_this_engine_lacks_nodes_for_is_given_back_uncounted(server: Any, start: Any) -> None:
    with start():
        server.add(picture().replace("EmptyImage", "SomeNodePack"))
        server.wait_for(lambda: server.released)
    assert not server.released[0].counts
    assert "SomeNodePack" in server.released[0].reason


def test_a_wrong_graph_ends_as_an_error_with_the_nodes_named(server: Any, start: Any) -> None:
    with start():
        server.add(picture().replace('"width": 32', '"width": 0'))
        completed = only(server)
    assert completed.outcome is Outcome.ERROR
    assert completed.error is not None
    assert completed.error.kind == "prompt-refused"
    assert set(completed.error.details["node_errors"]) == {"1"}  # type: ignore[call-overload]


def test_a_failing_node_ends_as_an_error(server: Any, start: Any) -> None:
    with start():
        server.add(picture().replace("w/x", "../../x"))
        completed = only(server)
    assert completed.error is not None
    assert (completed.error.kind, completed.error.node_id, completed.error.node_type) == (
        "execution-error",
        "2",
        "SaveImage",
    )


def test_a_job_beyond_its_deadline_is_interrupted(server: Any, start: Any, engine_url: str) -> None:
    with start(), ComfyClient(engine_url) as comfyui:
        server.add(long_painting(), deadline_s=0.5)
        completed = only(server)
        server.wait_for(lambda: not comfyui.queue().running)
    assert completed.error is not None
    assert completed.error.kind == "deadline"


def test_a_drain_finishes_the_running_job_and_takes_no_other(server: Any, start: Any, engine_url: str) -> None:
    with start() as stopping, ComfyClient(engine_url) as comfyui:
        job = server.add(long_painting(steps=200))
        server.wait_for(lambda: comfyui.queue().running)
        server.add(picture())
        stopping.ask()
    assert [completed.job_id for completed in server.completed] == [job.job_id]
    assert len(server.waiting) == 1
    assert server.left


def test_a_drain_beyond_its_limit_gives_the_job_back_uncounted(server: Any, start: Any, engine_url: str) -> None:
    with start(drain_limit_s=0.1) as stopping, ComfyClient(engine_url) as comfyui:
        server.add(long_painting())
        server.wait_for(lambda: comfyui.queue().running)
        stopping.ask()
        server.wait_for(lambda: not comfyui.queue().running)
    assert [released.counts for released in server.released] == [False]


def test_a_restarted_worker_takes_up_the_run_that_its_engine_finished(
    server: Any, start: Any, worker_options: Any, engine_url: str
) -> None:
    job = server.add(picture())
    server.waiting.clear()
    server.held[job.job_id] = job
    StateFolder(worker_options.state, server.url).keep_claim(job)
    with ComfyClient(engine_url) as comfyui:
        prompt_id = prompt_id_of(job.job_id, job.fence, 0)
        comfyui.submit(job.prompt, prompt_id=prompt_id)
        server.wait_for(lambda: comfyui.history(prompt_id))
        with start():
            completed = only(server)
    assert [output.filename for output in completed.outputs] == ["x_00001_.png", "x_00002_.png"]


def test_a_restarted_worker_asks_for_work_only_when_what_it_took_up_is_reported(
    server: Any, start: Any, worker_options: Any
) -> None:
    # With the first claim of a new start the server ends what earlier starts hold: a report on its way would be late.
    server.report_takes_s = 0.2
    job = server.add(picture())
    server.waiting.clear()
    server.held[job.job_id] = job
    StateFolder(worker_options.state, server.url).keep_claim(job)
    with start():
        only(server)
        server.wait_for(lambda: server.claims_asked)
    assert server.claims_at_report == [0]


def test_a_run_is_submitted_again_after_the_engine_was_restarted(
    server: Any, start: Any, worker_options: Any, tmp_path: Path
) -> None:
    home: dict[str, Any] = {"output": tmp_path / "o", "input": tmp_path / "i"}
    with running(EngineOptions(**home)) as url:
        port = int(url.rpartition(":")[2])
    with start(options=dataclasses.replace(worker_options, comfyui=url)):
        with running(EngineOptions(port=port, **home)):
            server.add(long_painting())
            server.wait_for(lambda: httpx.get(f"{url}/queue", trust_env=False).json()["queue_running"])
            server.waiting.clear()
        with running(EngineOptions(port=port, **home)), ComfyClient(url) as comfyui:
            server.wait_for(lambda: comfyui.queue().running)
            (job,) = server.held.values()
            assert comfyui.queue().running == (prompt_id_of(job.job_id, job.fence, 0),)
            server.cancelled.add(job.job_id)
            assert only(server).outcome is Outcome.CANCELLED
