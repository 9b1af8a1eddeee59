"""What `torch.save` wrote is listed and never loaded."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from memoryd.weights import pickles, torch_files
from memoryd.weights.describing import describe_model
from memoryd.weights.pickles import NotPickle, PickleTooLarge, plan_of
from memoryd.weights.torch_files import TorchFileTooLarge, read_header
from tests.weights.model_files import pickled, state, torch_bare, torch_tar, torch_zip

SD15 = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    "cond_stage_model.transformer.text_model.final_layer_norm.weight": (768,),
}


class Trap:
    """An attack: loading it writes a file."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.place}",))


class Writes:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.place,))


@pytest.mark.parametrize("write", [torch_zip, torch_bare, torch_tar, lambda value: torch_zip(value, packed=True)])
def test_names_and_shapes_are_listed_in_every_container(tmp_path: Path, write: Callable[[object], bytes]) -> None:
    path = tmp_path / "sd.ckpt"
    path.write_bytes(write(state(SD15, global_step=840_000, epoch=2)))
    header = read_header(path)
    assert {name: tensor.shape for name, tensor in header.tensors.items()} == SD15
    assert {tensor.dtype for tensor in header.tensors.values()} == {"F16"}
    assert header.metadata == {"global_step": "840000", "epoch": "2"}
    facts = describe_model(path, "x/sd.ckpt")
    assert (facts.format, facts.kind, facts.base, facts.findings) == ("pickle", "checkpoint", "sd15", ())


def test_an_upscaler_and_an_embedding_are_told(tmp_path: Path) -> None:
    esrgan = {"params_ema": state({"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3),
                                   "conv_last.weight": (3, 64, 3, 3)})["state_dict"]}  # fmt: skip
    (tmp_path / "4x.pth").write_bytes(torch_zip(esrgan))
    assert describe_model(tmp_path / "4x.pth", "4x.pth").kind == "upscaler"
    word = {"string_to_param": state({"*": (2, 768)})["state_dict"], "name": "style", "sd_checkpoint": "7460a6fa"}
    (tmp_path / "style.pt").write_bytes(torch_zip(word))
    facts = describe_model(tmp_path / "style.pt", "style.pt")
    assert (facts.kind, facts.base) == ("embedding", "sd15")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("write", [None, torch_zip, torch_bare, torch_tar])
def test_an_attack_is_told_and_never_run(
    tmp_path: Path, protocol: int, write: Callable[[object], bytes] | None
) -> None:
    trapped = tmp_path / "written"
    value = {"state_dict": {}, "x": Trap(trapped), "y": Writes(trapped)}
    path = tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps(value, protocol) if write is None else write(value))
    facts = describe_model(path, "checkpoints/bad.ckpt")
    # The second attack names its method as a class's own, which may be told beside it.
    assert {finding.code for finding in facts.findings} - {"model-imports-code"} == {"model-executes-code"}
    assert "posix.system" in facts.findings[0].detail or "nt.system" in facts.findings[0].detail
    assert not trapped.exists()


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", ["model-executes-code"]),
        (b"(S'true'\nios\nsystem\n.", ["model-executes-code"]),
        (b"(cos\nsystem\nS'true'\no.", ["model-executes-code"]),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", ["model-executes-code"]),
        (b"\x80\x02\x82\x01.", ["model-executes-code"]),
        (b"\x80\x04\x8c\x01o\x94\x8c\x01s\x93N\x93)R.", ["model-executes-code", "model-imports-code"]),
        (b"cos\nsystem\n(S'true'\ntR\xff\xff", ["not-pickle", "model-executes-code"]),
        (b"cultralytics.nn.tasks\nDetectionModel\n)\x81.", ["model-imports-code"]),
        (b"cultralytics.nn.tasks\nload_url\n)R.", ["model-executes-code"]),
        (b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR.", ["model-executes-code"]),
        (b"ccollections\nOrderedDict\n)R.", []),
        (b"cbuiltins\neval\n.", ["model-executes-code"]),
        (b"not a pickle at all", ["not-pickle"]),
    ],
)
def test_what_loading_would_run_is_told(tmp_path: Path, content: bytes, codes: list[str]) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    assert [finding.code for finding in describe_model(tmp_path / "m.pt", "m.pt").findings] == codes


def test_a_pickle_under_another_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(pickle.dumps({"x": Trap(tmp_path / "written")}))
    facts = describe_model(tmp_path / "m.safetensors", "m.safetensors")
    assert [finding.code for finding in facts.findings] == ["model-format-differs", "model-executes-code"]


def test_what_refers_to_itself_ends() -> None:
    endless: dict[str, object] = {}
    endless["state_dict"] = endless
    endless["list"] = [endless]
    plan, _ = plan_of(pickled(endless))
    assert isinstance(plan.value, dict)
    wide: object = ()
    for _ in range(200):
        wide = (wide, wide)
    plan, _ = plan_of(pickle.dumps({"x": wide}, 2))
    assert plan.imported == frozenset()


def test_limits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = torch_zip(state(SD15))
    (tmp_path / "m.pt").write_bytes(content)
    monkeypatch.setattr(torch_files, "DIRECTORY_LIMIT", 10)
    with pytest.raises(TorchFileTooLarge, match="directory"):
        read_header(tmp_path / "m.pt")
    monkeypatch.undo()
    monkeypatch.setattr(pickles, "OPCODE_LIMIT", 5)
    with pytest.raises(PickleTooLarge):
        read_header(tmp_path / "m.pt")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\3\4",
        b"PK\3\4" + bytes(60),
        b"PK\3\4" + bytes(60) + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 99, 2**32 - 1, 0),
        torch_zip({})[:-60],
        torch_tar({})[:700],
    ],
)
def test_a_container_that_lies_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(NotPickle):
        read_header(tmp_path / "m.pt")
