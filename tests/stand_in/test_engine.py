from __future__ import annotations

import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import STAND_IN_MARK, RunRecord
from memoryd.comfyui.frames import Message
from memoryd.disclosure.evidence import evidence_in_file
from memoryd.disclosure.facts import SourceType, Statement
from memoryd.disclosure.statement import what_to_say
from memoryd.stand_in.catalogue import CLASSES
from memoryd.stand_in.folders import Folders, OutsideFolder, inside
from memoryd.stand_in.nodes import ACTIONS
from memoryd.stand_in.serving import Options, PortTaken, running
from memoryd.stand_in.validation import judge_graph

CHECKPOINT = "memoryd-stand-in-no-real-model.safetensors"


def painting(**sampler: Any) -> dict[str, Any]:
    inputs = {"seed": 1, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "fox", "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": {**inputs, **links, **sampler}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "%year%/s", "images": ["8", 0]}},
    }


def run(engine: ComfyClient, prompt: dict[str, Any]) -> RunRecord:
    return until_ended(engine, engine.submit(prompt).prompt_id)


def until_ended(engine: ComfyClient, prompt_id: str) -> RunRecord:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        record = engine.history(prompt_id)
        if record is not None:
            assert record.failure is None, record.failure
            return record
        time.sleep(0.01)
    raise AssertionError("it did not end")


def content(engine: ComfyClient, record: RunRecord) -> bytes:
    with engine.view(record.outputs[0]) as chunks:
        return b"".join(chunks)


def test_an_undeclared_input_from_a_node_that_is_not_there_fails_its_run_and_the_next_one_runs(
    engine: ComfyClient,
) -> None:
    prompt_id = engine.submit(painting(undeclared=["99", 0])).prompt_id
    until, record = time.monotonic() + 10, engine.history(prompt_id)
    while record is None and time.monotonic() < until:
        time.sleep(0.01)
        record = engine.history(prompt_id)
    assert record is not None
    assert record.failure is not None
    assert run(engine, painting()).outputs


def test_it_never_passes_for_a_comfyui(engine: ComfyClient) -> None:
    stats: Any = engine.system_stats()
    assert stats["system"]["memoryd_stand_in"] == "1"
    assert stats["system"]["comfyui_version"] == "0.29.0-stand-in"
    assert all("stand-in" in model.name for folder in engine.model_folders() for model in engine.models(folder))


def test_every_class_of_the_catalogue_can_be_executed() -> None:
    assert set(ACTIONS) == CLASSES


def test_what_it_painted_comes_again_byte_for_byte_after_a_restart(tmp_path: Path) -> None:
    files = []
    for folder in ("a", "b"):
        options = Options(output=tmp_path / folder, input=tmp_path / "input")
        with running(options) as url, ComfyClient(url) as engine:
            files.append(content(engine, run(engine, painting())))
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"steps": 3}, {"cfg": 1.5}, {"sampler_name": "heun"}, {"denoise": 0.5}]
)
def test_whatever_a_sampler_is_told_changes_the_picture(engine: ComfyClient, change: dict[str, Any]) -> None:
    before, after = content(engine, run(engine, painting())), content(engine, run(engine, painting(**change)))
    assert Image.open(io.BytesIO(before)).tobytes() != Image.open(io.BytesIO(after)).tobytes()


def test_with_seed_noise_no_picture_comes_again(tmp_path: Path) -> None:
    with running(Options(noisy=True)) as url, ComfyClient(url) as engine:
        first = content(engine, run(engine, painting()))
        engine.free()
        assert content(engine, run(engine, painting())) != first


def test_the_recorded_graphs_are_executed_but_for_their_models(engine: ComfyClient, fixtures: Path) -> None:
    with (fixtures / "images" / "txt2img_basic.png").open("rb") as file:
        engine.upload(file, "fox_src.png")
    loras = {model.name for model in engine.models("loras")}
    done = 0
    for path in sorted((fixtures / "history").glob("*.json")):
        (entry,) = json.loads(path.read_text()).values()
        prompt = entry["prompt"][2]
        if not {node["class_type"] for node in prompt.values()} <= CLASSES or path.stem.startswith("execution_"):
            continue
        for node in prompt.values():
            if "ckpt_name" in node["inputs"]:
                node["inputs"]["ckpt_name"] = CHECKPOINT
            if "lora_name" in node["inputs"]:
                node["inputs"]["lora_name"] = sorted(loras)[0]
            if node["class_type"] == "LoadImage":
                node["inputs"]["image"] = "fox_src.png"
        record = run(engine, prompt)
        assert len(record.outputs) == sum(
            len(items) for kinds in entry["outputs"].values() for items in kinds.values()
        ), path.stem
        done += 1
    assert done >= 19


def test_a_newer_socket_takes_an_id_over_and_goes_deaf_when_the_older_closes(engine: ComfyClient) -> None:
    with engine.events("same") as older, engine.events("same") as newer:
        older.close()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            while newer.next(timeout_s=0.05) is not None:
                pass
            engine.submit(painting(seed=time.monotonic_ns()), client_id="same")
            if newer.next(timeout_s=0.1) is None:
                return
    raise AssertionError("the newer socket still hears")


def test_a_socket_that_comes_back_is_told_where_its_run_is(tmp_path: Path) -> None:
    with running(Options(delay_s=2)) as url, ComfyClient(url) as engine:
        engine.submit(painting(), client_id="me")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with engine.events("me") as events:
                heard = [events.next(timeout_s=1), events.next(timeout_s=0.2)]
            told = [frame for frame in heard if isinstance(frame, Message) and frame.type == "executing"]
            if told:
                assert told[0].prompt_id is None
                return
    raise AssertionError("it was never told")


def test_secrets_of_the_sender_are_not_shown(engine: ComfyClient) -> None:
    prompt_id = engine.submit(painting(), extra_data={"api_key_comfy_org": "secret", "note": 1}).prompt_id
    until = time.monotonic() + 5
    while engine.history(prompt_id) is None and time.monotonic() < until:
        time.sleep(0.01)
    shown = httpx.get(f"{engine.url}/history", trust_env=False).text
    assert "secret" not in shown
    assert '"note": 1' in shown


def test_a_mask_keeps_the_texts_of_its_original(engine: ComfyClient, fixtures: Path, tmp_path: Path) -> None:
    with (fixtures / "images" / "txt2img_basic.png").open("rb") as file:
        engine.upload(file, "fox.png")
    mask = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 128)).save(mask, "PNG")
    reference = json.dumps({"filename": "fox.png", "subfolder": "", "type": "input"})
    answer = httpx.post(
        f"{engine.url}/upload/mask", files={"image": ("m.png", mask.getvalue())}, data={"original_ref": reference}
    )
    assert answer.json()["name"] == "m.png"
    with Image.open(tmp_path / "input" / "m.png") as kept:
        assert "prompt" in kept.text  # type: ignore[attr-defined]
        assert kept.getchannel("A").getextrema() == (128, 128)


def test_previews_and_single_channels_have_no_texts(engine: ComfyClient) -> None:
    file = run(engine, painting()).outputs[0]
    place = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    for wish, kind in (({"preview": "webp;90"}, "image/webp"), ({"channel": "rgb"}, "image/png")):
        answer = httpx.get(f"{engine.url}/api/view", params={**place, **wish}, trust_env=False)
        assert answer.headers["content-type"] == kind
        assert b"KSampler" not in answer.content


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd"])
def test_no_name_leads_out_of_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideFolder):
        inside(tmp_path, name)


def test_a_very_deep_graph_is_an_error_and_no_crash(tmp_path: Path) -> None:
    folders = Folders(output=tmp_path, input=tmp_path, temp=tmp_path)
    prompt: dict[str, Any] = {
        str(n): {"class_type": "ImageInvert", "inputs": {"image": [str(n + 1), 0]}} for n in range(5_000)
    }
    prompt["5000"] = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    prompt["s"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0], "filename_prefix": "x"}}
    judged = judge_graph(prompt, folders)
    assert judged.error is not None
    assert judged.error["type"] == "prompt_outputs_failed_validation"


def test_a_taken_port_is_said_to_be_taken(engine: ComfyClient) -> None:
    options = dataclasses.replace(Options(), port=int(engine.url.rpartition(":")[2]))
    with pytest.raises(PortTaken), running(options):
        pass


def texts(content: bytes) -> list[tuple[str, str]]:
    with Image.open(io.BytesIO(content)) as picture:
        return [(str(key), str(value)) for key, value in picture.info.items()]


def test_what_it_painted_says_so_last_and_once_also_to_whoever_sends_it_back(engine: ComfyClient) -> None:
    first = engine.submit(painting(), extra_data={"extra_pnginfo": {"workflow": {"nodes": []}}})
    made = content(engine, until_ended(engine, first.prompt_id))
    assert [key for key, _ in texts(made)] == ["prompt", "workflow", STAND_IN_MARK]
    engine.free()
    sent_back = {key: json.loads(value) for key, value in texts(made) if key != "prompt"}
    again = engine.submit(painting(), extra_data={"extra_pnginfo": dict(reversed(sent_back.items()))})
    assert content(engine, until_ended(engine, again.prompt_id)) == made


def test_what_no_painter_took_part_in_has_no_mark(engine: ComfyClient) -> None:
    prompt = {
        **painting(),
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"filename_prefix": "free", "images": ["1", 0]}},
        "10": {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}},
        "11": {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}},
    }
    marked = {}
    for file in run(engine, prompt).outputs:
        with engine.view(file) as chunks:
            marked[file.node] = STAND_IN_MARK in dict(texts(b"".join(chunks)))
    assert marked == {"2": False, "9": True, "11": True}


def test_a_painted_file_is_disclosed_as_painted_without_a_server(engine: ComfyClient, tmp_path: Path) -> None:
    file = tmp_path / "copy.png"
    file.write_bytes(content(engine, run(engine, painting())))
    said = what_to_say(evidence_in_file(file))
    assert isinstance(said, Statement)
    assert said.source_type is SourceType.ALGORITHMIC
