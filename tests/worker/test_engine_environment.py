"""The environment of an engine in a process of its own: seen whole, equal from start to start, and never in the way."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.foundation.canonical_json import Json
from memoryd.worker import engine_probe, engine_sight
from memoryd.worker.attention import attention_asked, attention_told
from memoryd.worker.engine_sight import find_engine
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.survey import Survey, look_around
from tests.worker.launching import command_of, launched, make_comfyui

VARIABLES = {"OMP_NUM_THREADS": "3", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "A_SECRET_TOKEN": "not told"}


def look(url: str, state: Path) -> Survey:
    engine_probe._lately.clear()  # as a worker that was just started
    with ComfyClient(url) as comfyui:
        return look_around(comfyui, StateFolder(state, url))


def test_the_process_behind_the_port_tells_what_runs_there(tmp_path: Path) -> None:
    folder = make_comfyui(tmp_path / "ComfyUI", packs={"pack": "x = 1\n"})
    with launched(command_of(folder, "--cpu", "--fast"), variables=VARIABLES) as url:
        sight = find_engine(url)
        survey = look(url, tmp_path / "state")
    assert sight is not None
    assert sight.program == folder
    assert sight.python.resolve() == Path(sys.executable).resolve()
    told = survey.environment
    assert told["stand_in"]
    assert told["python"] == platform.python_version()
    packages = told["packages"]
    assert isinstance(packages, dict)
    assert packages["pillow"] == importlib.metadata.version("pillow") == told["pillow"]
    assert "zlib" in told
    assert told["flags"] == ["--cpu", "--fast"]
    variables = told["variables"]
    assert isinstance(variables, dict)
    assert variables["OMP_NUM_THREADS"] == "3"
    assert "A_SECRET_TOKEN" not in variables
    (pack,) = survey.packs
    assert told["node_packs"] == [{"name": "pack", "tree": pack.sources.digest if pack.sources else None}]
    assert "comfyui_tree" in told
    assert "torch" not in told, "the stand-in has none, and says nothing of it"
    text = json.dumps(told)
    assert str(tmp_path) not in text, "no paths"
    assert url.rpartition(":")[2] not in text, "no ports"


def test_equal_starts_have_equal_environments_in_any_folder(tmp_path: Path) -> None:
    hashes = []
    for place in ("one", "another place"):
        folder = make_comfyui(tmp_path / place / "ComfyUI", packs={"pack": "x = 1\n"})
        with launched(command_of(folder, "--cpu"), cwd=tmp_path / place, variables=VARIABLES) as url:
            hashes.append(look(url, tmp_path / place / "state").environment_sha256)
            hashes.append(look(url, tmp_path / place / "state").environment_sha256)
    assert len(set(hashes)) == 1


def test_what_differs_is_seen(tmp_path: Path) -> None:
    folder = make_comfyui(tmp_path / "ComfyUI", packs={"pack": "x = 1\n"})
    with launched(command_of(folder), variables=VARIABLES) as url:
        before = look(url, tmp_path / "state").environment
        (folder / "custom_nodes/pack/__init__.py").write_text("x = 2\n")
        after = look(url, tmp_path / "state").environment
    assert {key for key in before if before[key] != after.get(key)} == {"node_packs"}
    with launched(command_of(folder), variables={**VARIABLES, "OMP_NUM_THREADS": "1"}) as url:
        again = look(url, tmp_path / "state").environment
    assert {key for key in again if again[key] != after.get(key)} == {"variables"}


def test_the_probe_is_asked_once_for_equal_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_comfyui(tmp_path / "ComfyUI")
    with launched(command_of(folder)) as url:
        first = look(url, tmp_path / "state").environment
        monkeypatch.setattr(engine_probe, "_begin", lambda *_: pytest.fail("it was asked again"))
        assert look(url, tmp_path / "state").environment == first


@pytest.mark.parametrize(
    "script", ["import time; time.sleep(60)", "raise SystemExit(3)", "print('no JSON')", "print('[]')"]
)
def test_a_probe_that_fails_leaves_keys_out_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    broken = tmp_path / "script.py"
    broken.write_text(script)
    monkeypatch.setattr(engine_probe, "_SCRIPT", broken)
    monkeypatch.setattr(engine_probe, "PROBE_LIMIT_S", 0.3)
    folder = make_comfyui(tmp_path / "ComfyUI")
    with launched(command_of(folder), variables=VARIABLES) as url:
        told = look(url, tmp_path / "state").environment
        assert "packages" not in told
        assert "pillow" not in told
        assert told["python"] == platform.python_version(), "as ComfyUI itself tells"
        monkeypatch.undo()
        assert "packages" in look(url, tmp_path / "state").environment, "a failure is not remembered"


def test_where_the_process_is_not_seen_only_http_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_sight, "_PROC", tmp_path / "no such system")
    folder = make_comfyui(tmp_path / "ComfyUI")
    with launched(command_of(folder, "--cpu")) as url:
        told = look(url, tmp_path / "state").environment
    assert set(told) == {"comfyui", "python", "os", "flags", "deterministic", "devices", "stand_in"}


def test_nothing_of_another_user_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_comfyui(tmp_path / "ComfyUI")
    with launched(command_of(folder)) as url:
        assert find_engine(url) is not None
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert find_engine(url) is None


def test_a_python_that_is_not_the_one_that_answers_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_comfyui(tmp_path / "ComfyUI")
    with launched(command_of(folder)) as url:
        members: dict[str, Json] = {"python": "2.7.18", "packages": {"a": "1"}}
        monkeypatch.setattr(engine_probe.EngineProbe, "members", lambda self: dict(members))
        told = look(url, tmp_path / "state").environment
    assert told["python"] == platform.python_version()
    assert "packages" not in told


@pytest.mark.parametrize(
    ("line", "attention"),
    [
        ("Using pytorch attention", "pytorch"),
        (
            "Using sub quadratic optimization for attention, if you have memory or speed issues try using: x",
            "sub-quadratic",
        ),
        ("Using pytorch attention in VAE", None),
        ("Using sage attention\nUsing pytorch attention in VAE", "sage"),
        ("", None),
    ],
)
def test_the_log_tells_the_attention(line: str, attention: str | None) -> None:
    assert attention_told(f"x\n2026-01-01 - {line}\nUsing split attention in VAE\n") == attention


def test_flags_tell_the_attention_that_is_asked_for() -> None:
    assert attention_asked(["--cpu", "--use-split-cross-attention"]) == "split"
    assert attention_asked(["--cpu"]) is None
