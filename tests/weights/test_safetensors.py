"""Headers of safetensors files, honest and hostile."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memoryd.weights import safetensors
from memoryd.weights.safetensors import HeaderTooLarge, NotSafetensors, read_header

WriteModel = Callable[..., Path]


def written(path: Path, header: bytes, *, length: int | None = None, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def test_a_header_tells_metadata_names_and_shapes(write_model: WriteModel) -> None:
    header = read_header(write_model({"a.weight": [2, 3], "b": []}, {"modelspec.title": "A title"}))
    assert header.metadata == {"modelspec.title": "A title"}
    assert header.tensors["a.weight"].shape == (2, 3)
    assert header.tensors["b"].parameters == 1
    assert header.missing_bytes == 0


def test_a_real_lora_is_read(fixtures: Path) -> None:
    header = read_header(fixtures / "models" / "tiny-random-lora.safetensors")
    assert len(header.tensors) == 72
    assert header.metadata["modelspec.license"] == "CC-BY-4.0"


def test_an_interrupted_download_is_seen(write_model: WriteModel) -> None:
    assert read_header(write_model({"a": [100]}, cut=150)).missing_bytes == 150


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"a": 1}',
        b'{"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [true], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [4, 2]}}',
        b'{"a": {"dtype": "?", "shape": [281474976710656, 2], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [' + b"1," * 20 + b'1], "data_offsets": [0, 2]}}',
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(NotSafetensors):
        read_header(written(tmp_path / "m.safetensors", header, data=bytes(8)))


def test_a_length_beyond_the_file_is_another_format(tmp_path: Path) -> None:
    for length in (100, 2**63, 2**64 - 1):
        with pytest.raises(NotSafetensors):
            read_header(written(tmp_path / "m.safetensors", b"{}", length=length))
    (tmp_path / "short").write_bytes(b"1234567")
    with pytest.raises(NotSafetensors):
        read_header(tmp_path / "short")


def test_limits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "HEADER_LIMIT", 10)
    with pytest.raises(HeaderTooLarge) as refused:
        read_header(written(tmp_path / "m.safetensors", b"{" + b" " * 20 + b"}"))
    assert "HEADER_LIMIT" in str(refused.value.hint)
    monkeypatch.undo()
    monkeypatch.setattr(safetensors, "TENSOR_LIMIT", 1)
    with pytest.raises(HeaderTooLarge):
        read_header(written(tmp_path / "m.safetensors", b'{"a": 1, "b": 2}'))


def test_metadata_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"good": "text", "bad": 1, "worse": None}}).encode()
    assert read_header(written(tmp_path / "m.safetensors", header)).metadata == {"good": "text"}
    assert read_header(written(tmp_path / "n.safetensors", b'{"__metadata__": 7}')).metadata == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.safetensors"
    for start in (content, struct.pack("<Q", max(0, len(content) - 1)) + b"{" + content):
        path.write_bytes(start)
        with contextlib.suppress(NotSafetensors, HeaderTooLarge):
            read_header(path)
