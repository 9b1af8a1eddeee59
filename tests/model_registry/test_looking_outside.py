"""Looking models up outside: off unless the operator says so, by hash alone, and nothing believed that names another."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memoryd.access.facts import Caller, Role
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotAllowed
from memoryd.foundation.settings import Settings
from memoryd.model_registry import looking_outside, looking_up
from memoryd.model_registry.facts import StatedBy
from memoryd.model_registry.recording import record_observations
from tests.model_registry.test_provenance import ClientOf, See

SERVICE = """
import http.server, json, pathlib, sys, time
asked = pathlib.Path(sys.argv[1])
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sha256 = self.path.rsplit("/", 1)[1]
        with asked.open("a") as file:
            file.write(f"{self.path}\\n{self.headers}")
        kind = sys.argv[2]
        if kind == "unknown":
            return self.send_error(404)
        if kind == "moved":
            self.send_response(302); self.send_header("Location", "/elsewhere"); self.end_headers(); return
        said = "0" * 64 if kind == "another" else sha256
        body = json.dumps({"id": 70, "modelId": 7, "name": "v1", "baseModel": "SDXL 1.0", "trainedWords": ["ink"],
            "model": {"name": "Ink"}, "files": [{"hashes": {"SHA256": said}}]}).encode()
        if kind == "endless":
            body = b" " * (3 * 1024 * 1024)
        if kind == "broken":
            body = b"{"
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
print(server.server_port, flush=True)
server.serve_forever()
"""
MODEL = hashlib.sha256(b"x").digest()


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """What the service was sent."""
    return tmp_path / "asked"


@pytest.fixture(params=["known"])
def service(request: pytest.FixtureRequest, asked: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service of its own process that answers in one way."""
    words = [sys.executable, "-c", SERVICE, str(asked), request.param]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            monkeypatch.setattr(looking_outside, "ADDRESS", f"http://127.0.0.1:{port}/by-hash/")
            yield request.param
        finally:
            process.kill()


@pytest.fixture
def known(database: Database, tenant: TenantScope, see: See) -> None:
    with database.tenant_work(tenant) as session:
        record_observations(session, None, worker="w", root="/m", observations=[see("loras", "secret name.pt", b"x")])


def test_nothing_leaves_unless_the_operator_says_so(
    known: None, service: str, asked: Path, client_of: ClientOf, tenant: TenantScope
) -> None:
    with pytest.raises(NotAllowed, match="nothing leaves"):
        client_of(tenant, Role.ADMIN).post("/models/secret name.pt/look-up")
    assert not asked.exists()


def test_only_the_hash_leaves_and_the_answer_is_recorded_as_looked_up(
    known: None, service: str, asked: Path, database: Database, tenant: TenantScope, caller: Caller, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, model_lookups="civitai")
    told = looking_outside.look_up(database, settings, caller, MODEL).told
    assert told is not None
    assert told.triggers == ("ink",)
    sent = asked.read_text()
    assert sent.startswith(f"/by-hash/{MODEL.hex().upper()}\n")
    assert "secret" not in sent
    with database.tenant_work(tenant) as session:
        version = looking_up.show_model(session, MODEL).model.version
    assert version is not None
    assert (version.family, version.version, version.stated_by) == ("Ink", "v1", StatedBy.LOOK_UP)


@pytest.mark.parametrize("service", ["unknown", "another"], indirect=True)
def test_what_is_not_known_or_about_another_file_is_no_version(
    known: None, service: str, database: Database, tenant: TenantScope, caller: Caller, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, model_lookups="civitai")
    assert looking_outside.look_up(database, settings, caller, MODEL).told is None
    with database.tenant_work(tenant) as session:
        assert looking_up.show_model(session, MODEL).versions == ()


@pytest.mark.parametrize("service", ["endless", "broken", "moved"], indirect=True)
def test_an_answer_that_cannot_be_right_is_a_clear_error(service: str) -> None:
    with pytest.raises(looking_outside.ServiceDown):
        looking_outside.ask(MODEL)


def test_a_service_that_is_away_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_outside, "ADDRESS", "http://127.0.0.1:9/")
    began = time.monotonic()
    with pytest.raises(looking_outside.ServiceDown):
        looking_outside.ask(MODEL)
    assert time.monotonic() - began < looking_outside.WHOLE_TIMEOUT_S
