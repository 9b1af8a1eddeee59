"""Headers of GGUF files, honest and hostile."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from memoryd.weights import gguf
from memoryd.weights.describing import describe_model
from memoryd.weights.gguf import GgufTooLarge, NotGguf, read_header
from tests.weights.model_files import gguf_file, text

LIMIT = 400 * 2**20


@pytest.mark.parametrize(("version", "order"), [(2, "<"), (3, "<"), (3, ">")])
def test_entries_names_and_shapes_are_read(tmp_path: Path, version: int, order: str) -> None:
    content = gguf_file(
        {"general.architecture": "flux", "general.license": "apache-2.0", "general.alignment": 32},
        {"double_blocks.0.img_attn.qkv.weight": (9, 3), "guidance_in.in_layer.weight": (3, 256)},
        version=version,
        order=order,
    )
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    header = read_header(path)
    assert header.metadata["general.architecture"] == "flux"
    assert header.tensors["double_blocks.0.img_attn.qkv.weight"].shape == (9, 3)
    assert header.missing_bytes == 0
    facts = describe_model(path, "unet/m.gguf")
    assert (facts.format, facts.kind, facts.base, facts.licence) == ("gguf", "diffusion_model", "flux", "apache-2.0")
    path.write_bytes(content[:-20])
    assert read_header(path).missing_bytes == 20


def test_vocabularies_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t5.gguf"
    words = ["a", "b" * 40, ""]
    path.write_bytes(gguf_file({"general.architecture": "t5encoder", "tokenizer.ggml.tokens": words}, {}))
    assert set(read_header(path).metadata) == {"general.architecture"}
    assert describe_model(path, "x.gguf").base == "t5"


HUGE = struct.pack("<Q", 2**40)
LIES = {
    "another format": b"GGML" + bytes(40),
    "version 1": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "version of the future": b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
    "cut in its counts": b"GGUF" + struct.pack("<I", 3) + b"\1",
    "too many tensors": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
    "too many entries": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
    "name longer than the file": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + HUGE + b"a" * 100,
    "name as long as it gets": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + b"\xff" * 8,
    "text longer than the file": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 8) + HUGE,
    "type that is none": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 77) + bytes(16),
    "list of lists of lists": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + text("k")
    + struct.pack("<I", 9)
    + struct.pack("<IQ", 9, 1) * 50,
    "list longer than the file": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + text("k")
    + struct.pack("<IIQ", 9, 8, 2**60)
    + bytes(64),
    "numbers beyond the file": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 5, 2**61),
    "too many dimensions": b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("t") + struct.pack("<I", 4_000_000_000),
    "too many parameters": b"GGUF"
    + struct.pack("<IQQ", 3, 1, 0)
    + text("t")
    + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0),
}


@pytest.mark.parametrize("content", LIES.values(), ids=list(LIES))
def test_a_header_that_lies_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises((NotGguf, GgufTooLarge)):
        read_header(tmp_path / "m.gguf")


def test_lists_of_texts_end_at_their_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "ARRAY_LIMIT", 10)
    (tmp_path / "m.gguf").write_bytes(gguf_file({"a": ["x"] * 6, "b": ["x"] * 6}, {}))
    with pytest.raises(GgufTooLarge, match="12 elements"):
        read_header(tmp_path / "m.gguf")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_large_file_whose_header_lies_takes_no_memory_for_the_lie(tmp_path: Path) -> None:
    """Sparse files of 64 GB: every length that a header may name lies within them."""
    lies = {
        "a.gguf": LIES["name longer than the file"],
        "b.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IQ", 8, 2**35),
        "c.gguf": LIES["list longer than the file"],
        "d.safetensors": struct.pack("<Q", 2**35) + b"{",
        "e.safetensors": struct.pack("<Q", 99_000_000) + b'{"a": [' + b"[],",
        "f.ckpt": b"PK\3\4" + bytes(100),
        "g.pt": b"\x80\2X\xff\xff\xff\x7fabc",
        "h.pt": b"\x80\4\x8d" + struct.pack("<Q", 2**35),
        "i.pt": b"V" + b"a" * 1000,
        "j.civitai.info": b"{",
    }
    for name, start in lies.items():
        with (tmp_path / name).open("wb") as file:
            file.write(start)
            file.truncate(2**36)
            if name == "f.ckpt":
                file.seek(2**36 - 22)
                file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 2**32 - 2, 100, 0))
    (tmp_path / "j.safetensors").write_bytes(b"")
    program = (
        "import resource, sys\nfrom pathlib import Path\nfrom memoryd.weights.describing import describe_model\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {LIMIT},) * 2)\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    facts = describe_model(path, path.name)\n"
        "    print(path.name, [finding.code for finding in facts.findings])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(told) == len(lies) + 1
    assert all(codes != "[]" for name, codes in told.items() if not name.endswith(".info")), told
    assert "sidecar-too-large" in told["j.safetensors"]
    assert resource.getpagesize() > 0
