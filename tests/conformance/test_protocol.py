"""What a worker and the common clients rely on, asked of the stand-in and of a real ComfyUI alike."""

from __future__ import annotations

import hashlib
import io
import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineFileMissing, EngineTrouble, PromptRefused
from memoryd.comfyui.facts import RunRecord, RunState
from memoryd.comfyui.frames import Frame, Message

GREETING = ("status", "feature_flags")
"""What every stream is told, whoever listens."""

SLOW_S = 60
"""A real ComfyUI may load a checkpoint first."""


def picture(colour: int = 255, prefix: str = "conformance/c", **more: object) -> dict[str, Any]:
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": colour, **more},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def painting(checkpoint: str, *, seed: int = 42, steps: int = 2) -> dict[str, Any]:
    inputs = {"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": inputs | links},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "conformance/p", "images": ["8", 0]}},
    }


def fresh() -> str:
    return str(uuid.uuid4())


def colour() -> int:
    """A colour that no earlier run used, so that nothing is cached."""
    return uuid.uuid4().int % 0xFFFFFF


def ended(engine: ComfyClient, prompt_id: str) -> RunRecord:
    until = time.monotonic() + SLOW_S
    while time.monotonic() < until:
        record = engine.history(prompt_id)
        if record is not None:
            return record
        time.sleep(0.02)
    raise AssertionError(f"{prompt_id} did not end")


def run(engine: ComfyClient, prompt: object, **request: Any) -> RunRecord:
    return ended(engine, engine.submit(prompt, **request).prompt_id)  # type: ignore[arg-type] # shapes are the test


def content(engine: ComfyClient, record: RunRecord, index: int = 0) -> bytes:
    with engine.view(record.outputs[index]) as chunks:
        return b"".join(chunks)


def told(engine: ComfyClient, prompt: object, client_id: str) -> list[Frame]:
    with engine.events(client_id) as events:
        prompt_id = engine.submit(prompt, client_id=client_id).prompt_id  # type: ignore[arg-type]
        heard: list[Frame] = []
        until = time.monotonic() + SLOW_S
        while time.monotonic() < until:
            frame = events.next(timeout_s=1)
            if frame is None:
                continue
            heard.append(frame)
            if isinstance(frame, Message) and frame.type == "executing" and frame.node is None:
                assert frame.prompt_id == prompt_id
                return heard
    raise AssertionError("the run's end was never told")


def kinds(heard: list[Frame]) -> list[str]:
    return [frame.type for frame in heard if isinstance(frame, Message) and frame.type not in GREETING]


def test_it_says_what_it_is(engine: ComfyClient) -> None:
    stats = engine.system_stats()
    assert stats["system"]["comfyui_version"].startswith("0.")  # type: ignore[index,call-overload,union-attr]
    assert stats["devices"]


def test_a_submitted_id_is_kept_and_its_run_is_found(engine: ComfyClient) -> None:
    prompt_id = fresh()
    accepted = engine.submit(picture(colour()), prompt_id=prompt_id)
    record = ended(engine, prompt_id)
    assert (accepted.prompt_id, accepted.node_errors) == (prompt_id, {})
    assert (record.state, record.cached_nodes, record.failure) == (RunState.SUCCESS, (), None)
    assert [(file.node, file.output, file.subfolder, file.type) for file in record.outputs] == [
        ("2", "images", "conformance", "output")
    ]


def test_an_unknown_run_has_no_history(engine: ComfyClient) -> None:
    assert engine.history(fresh()) is None


def test_the_same_graph_again_is_cached_and_names_the_old_file(engine: ComfyClient) -> None:
    prompt = picture(colour())
    first, second = run(engine, prompt), run(engine, prompt)
    assert second.cached_nodes == ("1", "2")
    assert second.outputs == first.outputs


def test_node_ids_and_titles_are_not_part_of_the_cache_key(engine: ComfyClient) -> None:
    shade = colour()
    run(engine, picture(shade))
    renamed = json.loads(json.dumps(picture(shade)).replace('"1"', '"11"').replace('"2"', '"22"'))
    renamed["22"]["_meta"] = {"title": "another title"}
    assert sorted(run(engine, renamed).cached_nodes) == ["11", "22"]


def test_after_free_everything_is_executed_again_and_the_file_is_the_same(engine: ComfyClient) -> None:
    prompt = picture(colour())
    first = run(engine, prompt)
    for _ in range(5):
        engine.free()
        time.sleep(0.05)
        again = run(engine, prompt)
        if not again.cached_nodes:
            break
    assert again.cached_nodes == ()
    assert again.outputs != first.outputs
    assert content(engine, again) == content(engine, first)


def test_events_come_in_the_order_that_clients_know(engine: ComfyClient) -> None:
    heard = kinds(told(engine, picture(colour()), fresh()))
    steps = ["progress_state", "executing"]
    assert [kind for kind in heard if kind != "progress_state"] == [
        "execution_start",
        "execution_cached",
        "executing",
        "executing",
        "executed",
        "execution_success",
        "executing",
    ]
    assert heard[:4] == ["execution_start", "execution_cached", *steps]
    assert heard[-2:] == ["execution_success", "executing"]


def test_events_of_a_cached_run_name_no_executing_node(engine: ComfyClient) -> None:
    prompt = picture(colour())
    run(engine, prompt)
    assert kinds(told(engine, prompt, fresh())) == [
        "execution_start",
        "execution_cached",
        "executed",
        "progress_state",
        "execution_success",
        "executing",
    ]


def test_a_sampler_tells_each_step(engine: ComfyClient) -> None:
    checkpoint = engine.models("checkpoints")[0].name
    heard = told(engine, painting(checkpoint, seed=uuid.uuid4().int % 2**64, steps=3), fresh())
    steps = [frame.body for frame in heard if isinstance(frame, Message) and frame.type == "progress"]
    assert [(step["value"], step["max"], step["node"]) for step in steps] == [(1, 3, "3"), (2, 3, "3"), (3, 3, "3")]


def test_somebody_elses_run_is_not_told(engine: ComfyClient) -> None:
    with engine.events(fresh()) as events:
        run(engine, picture(colour()), client_id=fresh())
        heard = []
        while (frame := events.next(timeout_s=0.2)) is not None:
            heard.append(frame)
    assert set(kinds(heard)) == set()


def test_a_run_without_client_tells_only_progress(engine: ComfyClient) -> None:
    with engine.events(fresh()) as events:
        run(engine, picture(colour()))
        heard = []
        while (frame := events.next(timeout_s=0.2)) is not None:
            heard.append(frame)
    assert set(kinds(heard)) == {"progress_state"}


def test_a_seed_of_64_bits_comes_back_exactly(engine: ComfyClient) -> None:
    checkpoint = engine.models("checkpoints")[0].name
    record = run(engine, painting(checkpoint, seed=2**64 - 1))
    assert record.prompt["3"]["inputs"]["seed"] == 2**64 - 1  # type: ignore[index,call-overload]
    assert [file.batch_index for file in record.outputs] == [0, 1]
    assert b'"seed": 18446744073709551615' in content(engine, record, 1)


def test_texts_are_embedded_as_sent_and_numbers_coerced(engine: ComfyClient) -> None:
    prompt = picture(colour(), more="kept")
    prompt["1"]["inputs"]["width"], prompt["1"]["inputs"]["height"] = "48", 48.0
    extra = '{"extra_pnginfo": {"zz": {"b": 1, "a": "赤"}, "author": "me"}}'
    file = content(engine, run(engine, json.dumps(prompt), extra_data=extra))
    assert b'"width": 48, "height": 48, ' in file
    assert b'"more": "kept"' in file
    assert (
        file.index(b"tEXtprompt\0") < file.index(b'tEXtzz\0{"b": 1, "a": "\\u8d64"}') < file.index(b'tEXtauthor\0"me"')
    )


def test_an_upload_is_read_back_by_its_bytes_hash(engine: ComfyClient, fixtures: Path) -> None:
    source = (fixtures / "images" / "txt2img_basic.png").read_bytes()
    name = f"conformance-{fresh()}.png"
    assert engine.upload(io.BytesIO(source), name).name == name
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "conformance/l"}},
    }
    record = run(engine, prompt)
    assert f'"is_changed": ["{hashlib.sha256(source).hexdigest()}"]'.encode() in content(engine, record)
    assert "is_changed" not in record.prompt["1"]  # type: ignore[operator]


def test_a_submitted_is_changed_is_trusted_which_is_why_ours_is_never_sent(engine: ComfyClient, fixtures: Path) -> None:
    def sent(prompt: dict[str, Any]) -> RunRecord:
        answer = httpx.post(f"{engine.url}/prompt", json={"prompt": prompt}, trust_env=False)
        return ended(engine, answer.json()["prompt_id"])

    name = f"conformance-{fresh()}.png"
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}, "is_changed": [fresh()]},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "conformance/l"}},
    }
    engine.upload(io.BytesIO((fixtures / "images" / "txt2img_basic.png").read_bytes()), name)
    sent(prompt)
    engine.upload(io.BytesIO((fixtures / "images" / "txt2img_lora.png").read_bytes()), name)
    assert sent(prompt).cached_nodes == ("1", "2")
    assert run(engine, prompt).cached_nodes == (), "our client takes it out"


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("modelfree_blend_invert", 0),
        ("modelfree_extra_chunks", 0),
        ("modelfree_float_and_bool_coercion", 0),
        ("modelfree_minimal_no_meta_titles", 0),
    ],
)
def test_a_recorded_model_free_run_gives_the_same_bytes(
    engine: ComfyClient, fixtures: Path, history: Any, name: str, index: int
) -> None:
    recorded = history(name)
    engine.upload(io.BytesIO((fixtures / "images" / "txt2img_basic.png").read_bytes()), "fox_src.png")
    engine.free()
    time.sleep(0.05)
    extra = recorded["prompt"][3].get("extra_pnginfo")
    record = run(engine, recorded["prompt"][2], extra_data={"extra_pnginfo": extra} if extra else {})
    assert content(engine, record, index) == (fixtures / "images" / f"{name}.png").read_bytes()


def test_interrupting_stops_only_the_run_that_is_named(engine: ComfyClient) -> None:
    checkpoint = engine.models("checkpoints")[0].name
    long_run = engine.submit(painting(checkpoint, seed=uuid.uuid4().int % 2**64, steps=10_000)).prompt_id
    waiting = engine.submit(picture(colour())).prompt_id
    until = time.monotonic() + SLOW_S
    while long_run not in engine.queue().running and time.monotonic() < until:
        time.sleep(0.02)
    engine.interrupt(fresh())
    assert engine.queue().running == (long_run,)
    assert engine.queue().pending == (waiting,)
    engine.interrupt(long_run)
    assert ended(engine, long_run).state is RunState.INTERRUPTED
    assert ended(engine, waiting).state is RunState.SUCCESS


def test_a_waiting_run_that_is_interrupted_leaves_no_trace(engine: ComfyClient) -> None:
    checkpoint = engine.models("checkpoints")[0].name
    long_run = engine.submit(painting(checkpoint, seed=uuid.uuid4().int % 2**64, steps=10_000)).prompt_id
    waiting = engine.submit(picture(colour())).prompt_id
    engine.interrupt(waiting)
    assert waiting not in engine.queue().pending
    engine.interrupt(long_run)
    ended(engine, long_run)
    assert engine.history(waiting) is None


def test_a_failing_node_is_named(engine: ComfyClient) -> None:
    record = run(engine, picture(colour(), prefix="../../escape"))
    assert record.state is RunState.ERROR
    assert record.failure is not None
    assert (record.failure.node_id, record.failure.node_type, record.failure.exception) == (
        "2",
        "SaveImage",
        "Exception",
    )
    assert "Saving image outside the output folder is not allowed" in record.failure.message


def test_a_missing_file_is_said_to_be_missing(engine: ComfyClient) -> None:
    record = run(engine, picture(colour()))
    with (
        pytest.raises(EngineFileMissing),
        engine.view(type(record.outputs[0])(**{**_fields(record.outputs[0]), "filename": "gone_00001_.png"})),
    ):
        pass


def _fields(file: Any) -> dict[str, Any]:
    return {name: getattr(file, name) for name in file.__slots__}


def test_what_is_no_graph_is_answered_by_500(engine: ComfyClient) -> None:
    for prompt in ("[]", '{"nodes": [], "links": [], "version": 0.4}', "{"):
        with pytest.raises(EngineTrouble, match="500"):
            engine.submit(prompt)


def test_a_refusal_carries_the_nodes_errors(engine: ComfyClient) -> None:
    with pytest.raises(PromptRefused) as refused:
        engine.submit(painting("does_not_exist.safetensors"))
    assert refused.value.kind == "prompt_outputs_failed_validation"
    assert refused.value.lacks
    assert set(refused.value.node_errors) == {"4"}


def without_circumstances(value: Any) -> Any:
    """An answer without what differs from installation to installation: help texts, tracebacks, offered names."""
    if isinstance(value, dict):
        kept = {name: without_circumstances(member) for name, member in value.items()}
        for name in ("tooltip", "traceback", "prompt_id", "number", "input_config"):
            kept.pop(name, None)
        if kept.get("type") == "value_not_in_list" and "list of length" not in kept["details"]:
            kept["details"] = kept["details"].partition(" not in [")[0]
        return kept
    return [without_circumstances(item) for item in value] if isinstance(value, list) else value


def test_bad_graphs_are_answered_as_recorded(engine: ComfyClient, http: httpx.Client, fixtures: Path) -> None:
    checkpoint = engine.models("checkpoints")[0].name
    lora = engine.models("loras")[0].name
    cases = json.loads((fixtures / "errors" / "prompt_validation.json").read_text())
    assert len(cases) >= 25
    for name, case in cases.items():
        if "request" not in case:
            continue
        request, response = case["request"], case["response"]
        body = request if isinstance(request, str) else json.dumps(request)
        body = body.replace("tiny-sd15-random.safetensors", checkpoint).replace(
            "style/tiny-random-lora.safetensors", lora
        )
        answer = http.post("/api/prompt", content=body)
        assert answer.status_code == response["status"], name
        assert answer.headers["content-type"].lower() == response["content_type"].lower(), name
        if isinstance(response["body"], str):
            assert answer.text == response["body"], name
        else:
            assert without_circumstances(answer.json()) == without_circumstances(response["body"]), name


def test_object_info_describes_what_the_worker_needs(engine: ComfyClient) -> None:
    specs = engine.specs()
    assert specs.is_output("SaveImage")
    assert not specs.is_output("KSampler")
    assert specs.seeds("KSampler") == ("seed",)
    folders = {folder: [model.name for model in engine.models(folder)] for folder in engine.model_folders()}
    found = {(use.class_type, use.input): use.folder for use in specs.model_inputs(folders)}
    assert found["CheckpointLoaderSimple", "ckpt_name"] == "checkpoints"
    assert found["LoraLoader", "lora_name"] == "loras"
    assert engine.object_info("NoSuchClass") == {}


def test_jobs_show_a_run_from_both_sides(engine: ComfyClient, http: httpx.Client) -> None:
    record = run(engine, picture(colour()), extra_data={"extra_pnginfo": {"workflow": {"id": "wf-1", "nodes": []}}})
    job = http.get(f"/api/jobs/{record.prompt_id}").json()
    assert (job["id"], job["status"], job["outputs_count"]) == (record.prompt_id, "completed", 1)
    assert job["workflow_id"] == "wf-1"
    listed = http.get("/api/jobs", params={"status": "completed"}).json()
    assert record.prompt_id in [item["id"] for item in listed["jobs"]]
    assert http.get(f"/api/jobs/{fresh()}").status_code == 404


def test_an_upload_of_other_content_gets_another_name(engine: ComfyClient, fixtures: Path) -> None:
    name = f"conformance-{fresh()}.png"
    one = (fixtures / "images" / "modelfree_minimal_no_meta_titles.png").read_bytes()
    two = (fixtures / "images" / "modelfree_extra_chunks.png").read_bytes()
    assert engine.upload(io.BytesIO(one), name, overwrite=False).name == name
    assert engine.upload(io.BytesIO(one), name, overwrite=False).name == name
    other = engine.upload(io.BytesIO(two), name, overwrite=False)
    assert other.name == name.replace(".png", " (1).png")
