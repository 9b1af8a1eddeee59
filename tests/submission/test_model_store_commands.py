"""`models push|pull|stored|discard`, against this room's own endpoints: also over connections that break."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from memoryd.catalog.holding import Holders
from memoryd.catalog.models import endpoints as registry_endpoints
from memoryd.foundation.errors import MemorydError, NotAcceptable, NotFound
from memoryd.submission.stored_models import endpoints
from memoryd.submission.stored_models import room as stored_room
from memoryd_cli import client as speaking
from memoryd_cli import model_store
from memoryd_cli.client import Client, ServerSilent

command = typer.Typer()
models = typer.Typer()
command.add_typer(models, name="models")
model_store.register(models)
RUN = CliRunner()
PART = 1000


class Line(httpx.BaseTransport):
    """The way to the server: it can break in the middle, and bring something else."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self.asked: list[str] = []
        self.breaks: list[str] = []
        self.spoilt = False
        self.dies_at: str | None = None
        self.dead = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, unless the line breaks at it."""
        word = request.method if request.url.path.endswith("/content") or request.method != "GET" else "LOOK"
        told = f"{word} {request.headers.get('Range', '')}{request.url.params.get('offset', '')}".strip()
        self.asked.append(told)
        if self.dead:
            raise httpx.ConnectError("nobody answers", request=request)
        self.dead = told == self.dies_at
        answer = self._transport.handle_request(request)
        broken = told in self.breaks
        if broken:
            self.breaks.remove(told)
        if request.method != "GET" or not request.url.path.endswith("/content"):
            if broken:
                raise httpx.ReadError("the line broke", request=request)
            return answer
        content = answer.read()
        if self.spoilt:
            content = bytes(len(content))
        sent = Sent(content, broken)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=sent)


class Sent(httpx.SyncByteStream):
    """An answer's bytes, or half of them."""

    def __init__(self, content: bytes, broken: bool) -> None:
        self._content, self._broken = content, broken

    def __iter__(self) -> Any:
        """Bring the bytes."""
        if not self._broken:
            yield self._content
            return
        yield self._content[: len(self._content) // 2]
        raise httpx.ReadError("the line broke")


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.include_router(endpoints.router, prefix="/v1")
    app.include_router(registry_endpoints.router, prefix="/v1")
    return app


@pytest.fixture
def line(person: TestClient, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(person._transport)
    client = Client("http://127.0.0.1:7860", None, transport=line)
    monkeypatch.setattr(model_store, "server", lambda: client)
    monkeypatch.setattr(model_store, "PART", PART)
    monkeypatch.setattr(speaking, "AGAIN_S", 0.0)
    return line


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    path = tmp_path / "ComfyUI" / "models" / "loras" / "styles" / "ink.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(256)) * 14)
    return path


def run(*words: str | Path, code: int = 0) -> str:
    answer = RUN.invoke(command, ["models", *(str(word) for word in words)])
    if isinstance(answer.exception, MemorydError):
        raise answer.exception
    assert answer.exit_code == code, answer.output
    return answer.stdout


def told(*words: str | Path) -> dict[str, Any]:
    answer = json.loads(run(*words, "--json"))
    assert isinstance(answer, dict)
    return answer


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_push_goes_in_parts_and_what_is_there_is_not_sent_again(line: Line, lora: Path) -> None:
    first = told("push", lora)
    assert (first["sha256"], first["folder"], first["name"]) == (digest(lora), "loras", "styles/ink.safetensors")
    assert first["sent"] == lora.stat().st_size
    assert [one for one in line.asked if one.startswith("PATCH")] == [
        "PATCH 0",
        "PATCH 1000",
        "PATCH 2000",
        "PATCH 3000",
    ]
    line.asked.clear()
    assert "was there" in run("push", lora)
    assert not [one for one in line.asked if one.startswith("PATCH")]


def test_a_push_goes_on_after_its_line_broke(line: Line, lora: Path) -> None:
    line.breaks = ["PATCH 1000"]
    told("push", lora)
    # What arrived before the answer was lost is not sent again.
    assert [one for one in line.asked if one.startswith("PATCH")] == [
        "PATCH 0",
        "PATCH 1000",
        "PATCH 2000",
        "PATCH 3000",
    ]
    run("pull", digest(lora), "--to", lora.parents[4])
    assert digest(lora.parents[4] / "ink.safetensors") == digest(lora)


def test_a_push_that_was_ended_is_gone_on_with_by_the_next(
    line: Line, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "PATIENCE_S", -1.0)
    line.dies_at = "PATCH 1000"
    with pytest.raises(ServerSilent):
        run("push", lora)
    line.dies_at, line.dead, line.asked = None, False, []
    assert told("push", lora)["sent"] < lora.stat().st_size
    assert "PATCH 0" not in line.asked


def test_a_pull_goes_into_the_folder_that_comfyui_looks_at_and_under_another_name(
    line: Line, lora: Path, tmp_path: Path
) -> None:
    run("push", lora)
    comfyui = tmp_path / "other"
    (comfyui / "models").mkdir(parents=True)
    answer = told("pull", "loras/styles/ink.safetensors", "--to", comfyui)
    assert Path(answer["path"]) == comfyui / "models" / "loras" / "styles" / "ink.safetensors"
    assert digest(Path(answer["path"])) == digest(lora)
    assert told("pull", digest(lora), "--to", comfyui)["fetched"] == 0, "it is there"
    other = told("pull", digest(lora), "--to", comfyui, "--name", "my.safetensors")
    assert Path(other["path"]) == comfyui / "models" / "loras" / "my.safetensors"
    assert sorted(path.name for path in comfyui.rglob("*") if path.is_file()) == ["ink.safetensors", "my.safetensors"]


def test_a_pull_goes_on_where_its_line_broke(line: Line, lora: Path, tmp_path: Path) -> None:
    run("push", lora)
    line.asked.clear()
    line.breaks = ["GET"]
    (tmp_path / "here").mkdir()
    assert told("pull", digest(lora), "--to", tmp_path / "here")["fetched"] == lora.stat().st_size
    assert "GET bytes=1792-" in line.asked
    assert digest(tmp_path / "here" / "ink.safetensors") == digest(lora)


def test_wrong_bytes_get_no_name_and_another_file_stays(line: Line, lora: Path, tmp_path: Path) -> None:
    run("push", lora)
    here = tmp_path / "here"
    here.mkdir()
    line.spoilt = True
    with pytest.raises(model_store.PulledWrong):
        run("pull", digest(lora), "--to", here)
    assert list(here.iterdir()) == []
    line.spoilt = False
    (here / "ink.safetensors").write_bytes(b"mine")
    with pytest.raises(model_store.OtherFileThere) as other:
        run("pull", digest(lora), "--to", here)
    assert "--name" in str(other.value.hint)
    assert (here / "ink.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../out.safetensors", "/out.safetensors", "a/../../out.safetensors"])
def test_a_name_does_not_lead_out_of_its_folder(line: Line, lora: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAcceptable):
        run("push", lora, "--name", name)
    run("push", lora)
    with pytest.raises(NotAcceptable, match="leads elsewhere"):
        run("pull", digest(lora), "--to", tmp_path, "--name", name)


def test_a_file_without_bytes_or_folder_says_what_to_do(line: Line, tmp_path: Path) -> None:
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes(b"")
    with pytest.raises(NotAcceptable, match="has no bytes"):
        run("push", empty, "--folder", "loras")
    notes = tmp_path / "notes.txt"
    notes.write_text("words")
    with pytest.raises(model_store.NoFolder) as unknown:
        run("push", notes)
    assert "--folder" in str(unknown.value.hint)
    assert line.asked == []


def test_a_bandwidth_is_kept_to(line: Line, lora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("memoryd_cli.model_store.time.monotonic", lambda: 0.0)
    monkeypatch.setattr("memoryd_cli.model_store.time.sleep", waited.append)
    run("push", lora, "--bandwidth", "1K")
    # Four parts, each paced by itself, at a clock that stands still.
    assert sum(waited) == pytest.approx(lora.stat().st_size / 1024, rel=0.05)


def test_the_store_is_listed_with_what_holds_it_and_a_held_model_is_not_discarded(
    line: Line, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("push", lora)
    assert "1 models" in run("stored")
    held = {bytes.fromhex(digest(lora)): Holders(sha256=bytes.fromhex(digest(lora)), assets=(), others=1)}
    monkeypatch.setattr(stored_room, "model_holders_of", lambda *_, **__: held)
    assert "that you do not see" in run("stored")
    with pytest.raises(MemorydError):
        run("discard", digest(lora))
    monkeypatch.setattr(stored_room, "model_holders_of", lambda *_, **__: {})
    assert "are free" in run("discard", digest(lora)[:12])
    assert "0 models" in run("stored")
    with pytest.raises(NotFound, match=digest(lora)):
        run("pull", digest(lora), "--to", os.devnull)
