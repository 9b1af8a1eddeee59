"""Receipts verified by a command that asks no server, and an attempt as commands tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from memoryd.disclosure import pki
from memoryd.disclosure.sealing import seal
from memoryd.foundation.canonical_json import canonical_bytes, read_json
from memoryd.foundation.errors import MemorydError
from memoryd_cli import receipts
from memoryd_cli.attempts import say_attempt

app = typer.Typer()
receipts.register(app)

CONTENT = b"the original"
MOMENT = "2026-11-21T10:00:00Z"
ID = "01a20007-f070-74fd-8a2f-d6e2eea28684"


def statement(**more: Any) -> dict[str, Any]:
    """A statement that an identical file came out."""
    sha256 = "b37f41c5e0bd1ce3c1bb6e6c1a2fbb9a3a5b7f1d4d4f2a1e8b9d0c7a6f5e4d3c"
    return {
        "format": "memoryd.reproduction-verdict/1",
        "id": ID,
        "purpose": "asked",
        "asset": {
            "id": ID,
            "sha256": sha256,
            "original_sha256": sha256,
            "original_bytes": len(CONTENT),
            "media_type": "image/png",
        },
        "verdict": "identical file",
        "means": "computed again, and every byte is equal",
        "compared": {
            "with": "bytes",
            "original_pixels": None,
            "made": {"sha256": sha256, "asset_id": None, "node": "9", "batch_index": 0, "compared_outputs": 1},
            "made_pixels": None,
        },
        "measures": {},
        "causes": [],
        "tests": {"state": "off", "over_at": None, "runs": []},
        "how": {
            "recomputed": True,
            "how": "caches emptied",
            "cached_nodes": 0,
            "tries": 1,
            "job_id": ID,
            "worker": {"id": ID, "label": "gpu-1"},
            "plan_sha256": sha256,
            "environment_then": None,
            "environment_now": sha256,
            "started_at": MOMENT,
            "ended_at": MOMENT,
        },
        "tolerances": {"max_abs": 0.1, "psnr_db": 45.0, "ssim": 0.99, "similar_psnr_db": 40.0, "similar_bits": 24},
        "asked_at": MOMENT,
        "decided_at": MOMENT,
        "software": "memoryd 0.1.0",
        "signer": {"name": "somebody", "development": True, "certificate_sha256": sha256},
        **more,
    }


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test's own, with no server running from it."""
    monkeypatch.setenv("MEMORYD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def signed(path: Path, said: dict[str, Any], folder: Path) -> Path:
    """A receipt's file."""
    identity = pki.signing_identity(folder)
    said["signer"]["certificate_sha256"] = said["signer"].pop("as", identity.fingerprint.hex())
    seal_ = read_json(seal(canonical_bytes(said), identity))
    path.write_bytes(canonical_bytes({"statement": said, "seal": seal_}) + b"\n")
    return path


def verify(*words: object) -> Any:
    return CliRunner().invoke(app, ["receipt", "verify", *map(str, words)])


def test_a_receipt_of_elsewhere_is_intact_and_its_signer_unknown(tmp_path: Path) -> None:
    found = verify(signed(tmp_path / "r.json", statement(), tmp_path / "elsewhere"), "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert (told["good"], told["verdict"], told["seal"]["state"]) == (True, "identical file", "intact-unknown-signer")
    assert told["development"] is True


def test_a_file_that_is_another_one_is_said_to_be(tmp_path: Path) -> None:
    receipt = signed(tmp_path / "r.json", statement(), tmp_path / "elsewhere")
    (tmp_path / "other.png").write_bytes(b"another")
    found = verify(receipt, "--original", tmp_path / "other.png")
    assert found.exit_code == receipts.BAD_RECEIPT_EXIT_CODE
    assert "another file" in found.output


def test_a_statement_that_contradicts_itself_is_not_good_however_it_is_signed(tmp_path: Path) -> None:
    said = statement()
    said["compared"]["made"]["sha256"] = "0" * 64
    found = verify(signed(tmp_path / "r.json", said, tmp_path / "elsewhere"))
    assert found.exit_code == receipts.BAD_RECEIPT_EXIT_CODE
    assert "the hashes are not equal" in found.output
    better = statement()
    better["signer"]["as"] = "0" * 64
    found = verify(signed(tmp_path / "b.json", better, tmp_path / "elsewhere"))
    assert found.exit_code == receipts.BAD_RECEIPT_EXIT_CODE
    assert "names another signer" in found.output
    thin = statement(verdict="identical pixels")
    thin["compared"] |= {"with": "stored fingerprint"}
    thin["compared"]["made"]["sha256"] = "0" * 64
    found = verify(signed(tmp_path / "t.json", thin, tmp_path / "elsewhere"))
    assert found.exit_code == receipts.BAD_RECEIPT_EXIT_CODE
    assert "cannot show that much" in found.output
    cached = statement()
    cached["how"]["cached_nodes"] = 2
    assert verify(signed(tmp_path / "c.json", cached, tmp_path / "elsewhere")).exit_code != 0


def test_a_statement_of_another_shape_is_not_good(tmp_path: Path) -> None:
    found = verify(signed(tmp_path / "r.json", statement(more="words"), tmp_path / "elsewhere"))
    assert found.exit_code == receipts.BAD_RECEIPT_EXIT_CODE
    assert "schema" in found.output


def test_what_is_not_there_is_named_with_the_next_step(tmp_path: Path) -> None:
    found = verify(tmp_path / "nowhere.json")
    assert isinstance(found.exception, MemorydError)
    assert found.exception.hint
    receipt = signed(tmp_path / "r.json", statement(), tmp_path / "elsewhere")
    assert isinstance(verify(receipt, "--made", tmp_path / "nowhere.png").exception, MemorydError)


def test_an_attempt_is_told_with_what_was_tested(capsys: pytest.CaptureFixture[str]) -> None:
    cause = {"code": "environment-differs", "detail": "torch: 1 then, 2 now", "next_step": "", "weight": 3}
    cause |= {"tested": {"by": "other-worker", "holds": True, "detail": "on gpu-2 it comes out"}}
    attempt: dict[str, Any] = {
        "id": ID,
        "state": "decided",
        "verdict": "different",
        "causes": [cause],
        "measures": {"psnr": 12.5, "made_sha256": "ab"},
        "second_runs": [{"purpose": "repeat", "verdict": "different", "measures": {"as_first": True}}],
        "testing": "running",
        "difference": True,
    }
    say_attempt(attempt)
    told = capsys.readouterr().out
    assert "holds (other-worker): on gpu-2" in told
    assert "second run (repeat): different, equal to the first run" in told
    assert "made_sha256" not in told
    assert f"memoryd receipt show {ID}" in told
