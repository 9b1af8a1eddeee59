"""What a server leaves behind for the commands of its machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from memoryd.app import serving
from memoryd.foundation.database import Database
from memoryd.foundation.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(serving, "local_key", lambda *_: "mk_key")
    return Settings(home=tmp_path)


def test_the_description_goes_with_its_server(home: Settings, database: Database) -> None:
    path = home.home / "local.json"
    path.write_text('{"url": "http://gone", "pid": 0}')
    with serving.described(home, database, "http://here"):
        assert json.loads(path.read_bytes())["url"] == "http://here"
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_bytes())["tenant"] == "default"
        # For a scraper, before anything has asked for the figures.
        assert (home.secrets_folder / "metrics.token").stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_a_second_server_gives_the_description_back(home: Settings, database: Database) -> None:
    path = home.home / "local.json"
    path.write_text(json.dumps({"url": "http://first", "pid": os.getppid()}))
    with serving.described(home, database, "http://second"):
        assert json.loads(path.read_bytes())["url"] == "http://second"
    assert json.loads(path.read_bytes())["url"] == "http://first"


def test_a_dead_servers_description_is_not_brought_back(home: Settings, database: Database) -> None:
    dead = subprocess.Popen(["sleep", "60"])
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    path = home.home / "local.json"
    path.write_text(json.dumps({"url": "http://dead", "pid": dead.pid}))
    with serving.described(home, database, "http://here"):
        pass
    assert not path.exists()
