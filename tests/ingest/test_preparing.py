from __future__ import annotations

import dataclasses
import json
import os
import struct
import time
import zlib
from pathlib import Path

import pytest

from memoryd.catalog.facts import AssetKind
from memoryd.ingest import formats, preparing
from memoryd.ingest.facts import FileState, Folder, PreparedFile, Reason
from memoryd.ingest.settling import CUT_OFF_AFTER_S, STABLE_FOR_S
from tests.ingest.pictures import chunk, picture, png, prompt


def _read(folder: Path, name: str, content: bytes | None = None, *, later_s: float = 0.0) -> PreparedFile:
    path = folder / name
    if content is not None:
        path.write_bytes(content)
    file, _ = preparing.prepare_file(Folder(path=folder), path, now=time.time() + later_s)
    return file


def _codes(file: PreparedFile) -> set[str]:
    return {finding.code for finding in file.findings}


def test_a_comfyui_picture_is_read_whole(folder: Path) -> None:
    file = _read(folder, "a_00001_.png", picture(seed=2**64 - 1, words="a red fox"))
    assert file.state is FileState.READ
    assert file.asset is not None
    assert file.asset.generation is not None
    assert file.asset.generation.parameters.samplers[0].seed == 2**64 - 1
    assert file.graph is not None
    assert "'fox'" in file.asset.words
    assert (file.asset.width, file.asset.height) == (2, 2)
    assert file.documents[0].raw == json.dumps(prompt(2**64 - 1)).encode()
    assert file.location is not None
    assert file.location.size == file.asset.size


def test_a_half_written_file_waits_and_is_cut_off_only_when_it_stood_still(folder: Path) -> None:
    whole = picture()
    for cut in (0, 5, 40, len(whole) - 4):
        assert _read(folder, "half.png", whole[:cut]).state is FileState.WAITING
    late = _read(folder, "half.png", later_s=CUT_OFF_AFTER_S + 1)
    assert late.state is FileState.REFUSED
    assert late.reason is Reason.CUT_OFF


def test_a_broken_file_is_refused_with_its_reason(folder: Path) -> None:
    broken = bytearray(picture())
    broken[16:20] = struct.pack(">I", 0)  # width 0
    for content in (bytes(broken), b"not a picture at all, but long enough to be told"):
        file = _read(folder, "broken.png", content, later_s=STABLE_FOR_S + 0.1)
        assert (file.state, file.reason) == (FileState.REFUSED, Reason.BROKEN)
        assert file.detail


def test_a_text_of_60_megabytes_is_a_finding_and_the_picture_is_recorded(folder: Path) -> None:
    file = _read(folder, "big.png", png({"prompt": b"[" * (60 * 2**20)}))
    assert file.state is FileState.READ
    assert _codes(file)
    assert file.asset is not None
    assert file.asset.width == 2


def test_a_zlib_bomb_is_a_finding_and_never_unpacked(folder: Path) -> None:
    bomb = zlib.compress(b"0" * (80 * 2**20), 1)
    whole = png({})
    file = _read(folder, "bomb.png", whole[:33] + chunk(b"zTXt", b"prompt\0\0" + bomb) + whole[33:])
    assert file.state is FileState.READ
    assert _codes(file)


@pytest.mark.parametrize(
    "document",
    [
        '{"1": {"class_type": "KSampler", "inputs": {"cfg": NaN, "seed": 1}}}',
        '{"1": {"class_type": "Save\\u0000Image", "inputs": {"text": "a\\u0000b"}}}',
        '{"1": {"class_type": "SaveImage", "inputs": {"text": "\\ud800 lone"}}}',
        json.dumps({a: {"class_type": "SaveImage", "inputs": {"images": [b, 0]}} for a, b in ("12", "21")}),
        '{"1": ',
        '{"a":' * 100_000,
        json.dumps({str(n): {"class_type": "A", "inputs": {}} for n in range(100_000)}),
    ],
    ids=["NaN", "NUL", "lone surrogate", "cycle", "not JSON", "deep", "100,000 nodes"],
)
def test_a_bad_graph_is_a_finding_and_the_file_is_recorded(folder: Path, document: str) -> None:
    file = _read(folder, "bad.png", png({"prompt": document}))
    assert file.state is FileState.READ
    assert _codes(file)
    assert file.asset is not None
    assert file.asset.generation is not None
    assert file.documents[0].raw == document.encode()


def test_eighteen_double_linked_nodes_are_read_at_once(folder: Path) -> None:
    graph = {"0": {"class_type": "EmptyImage", "inputs": {"width": 8}}}
    for n in range(1, 19):
        graph[str(n)] = {"class_type": "ImageBlend", "inputs": {"image1": [str(n - 1), 0], "image2": [str(n - 1), 0]}}
    graph["19"] = {"class_type": "SaveImage", "inputs": {"images": ["18", 0]}}
    file = _read(folder, "linked.png", png({"prompt": json.dumps(graph)}))
    assert file.graph is not None
    assert file.graph.identities.node_count == 20


def test_a_file_that_vanishes_is_an_outcome(folder: Path) -> None:
    assert _read(folder, "gone.png").state is FileState.VANISHED


def test_a_picture_without_a_plugin_is_recorded_by_its_bytes(folder: Path) -> None:
    assert _read(folder, "photo.psd", b"8BPS" + b"\0" * 40).state is FileState.WAITING
    file = _read(folder, "photo.psd", later_s=STABLE_FOR_S + 0.1)
    assert file.state is FileState.UNREAD
    assert _codes(file) == {"no-plugin"}
    assert file.asset is not None
    assert (file.asset.kind, file.asset.media_type) == (AssetKind.IMAGE, "image/vnd.adobe.photoshop")


def test_the_content_decides_and_not_the_name(folder: Path) -> None:
    assert _read(folder, "named_wrongly.jpg", picture()).state is FileState.READ
    file = _read(folder, "named_wrongly.png", b"8BPS" + b"\0" * 40, later_s=STABLE_FOR_S + 0.1)
    assert file.asset is not None
    assert file.asset.media_type == "image/vnd.adobe.photoshop"


def test_a_time_from_the_future_is_replaced_with_a_finding(folder: Path) -> None:
    path = folder / "a.png"
    path.write_bytes(picture())
    os.utime(path, (time.time() + 10**6, time.time() + 10**6))
    file = _read(folder, "a.png")
    assert "time-in-future" in _codes(file)
    assert file.asset is not None
    assert file.asset.made_at.timestamp() <= time.time()


def test_a_file_that_changes_while_it_is_read_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "a.png"
    path.write_bytes(picture())
    read = preparing._read

    def slow(stream: object, size: int) -> object:
        with path.open("ab") as more:
            more.write(b"more")
        return read(stream, size)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "_read", slow)
    assert _read(folder, "a.png").state is FileState.WAITING


def test_a_fault_of_ours_is_recorded_with_its_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(formats, "plugin_for", fail)
    file = _read(folder, "a.png", picture())
    assert (file.state, file.reason) == (FileState.REFUSED, Reason.FAULT)
    assert "KeyError" in file.detail


def test_a_file_too_large_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "FILE_SIZE_LIMIT", 10)
    assert _read(folder, "a.png", picture()).reason is Reason.TOO_LARGE


def test_a_large_file_reads_the_same_as_a_small_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = _read(folder, "a.png", picture())
    monkeypatch.setattr(preparing, "WHOLE_IN_MEMORY_LIMIT", 10)
    large = _read(folder, "a.png")
    assert dataclasses.replace(large, location=None) == dataclasses.replace(small, location=None)


def test_a_text_beside_a_picture_is_passed_by(folder: Path) -> None:
    assert _read(folder, "a.txt", b"a red fox, masterpiece, and much more").state is FileState.IGNORED


def test_every_real_comfyui_picture_is_read(files: Path) -> None:
    images = files / "comfyui" / "images"
    paths = sorted(images.resolve().glob("*.png"))
    assert paths
    for path in paths:
        file, _ = preparing.prepare_file(Folder(path=images.resolve()), path)
        assert file.state is FileState.READ, path.name
        assert file.asset is not None
        assert (file.asset.generation is None) == (path.stem == "no_metadata"), path.name
