"""From a run to its environment, to an export, to an engine that was built from it: which fingerprints equal."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from memoryd.access.facts import Role
from memoryd.comfyui.client import ComfyClient
from memoryd.worker.agent import Agent, Options
from memoryd.worker.state_folder import StateFolder
from memoryd.worker.stopping import Stopping
from memoryd.worker.survey import look_around
from tests.reproduction.studio import PATIENCE_S, Studio, _serving, studio
from tests.worker.launching import command_of, launched, make_comfyui

__all__ = ["studio"]

VARIABLES = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 7}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "made"}},
}


def git(root: Path, *words: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(
        command, cwd=root, check=True, capture_output=True, text=True, env={**os.environ, **own}
    ).stdout.strip()


def make_engine(folder: Path) -> tuple[Path, str]:
    """A ComfyUI with a plain pack, and one that is a checkout; and that one's commit."""
    made = make_comfyui(folder, packs={"plain": "x = 1\n", "checked out": "y = 1\n"})
    pack = made / "custom_nodes" / "checked out"
    git(pack, "init", "-q")
    git(pack, "add", "-A")
    git(pack, "commit", "-q", "-m", "first")
    git(pack, "remote", "add", "origin", "https://user:password@packs.example/a.git")
    return made, git(pack, "rev-parse", "HEAD")


@contextlib.contextmanager
def working(url: str, engine: str, place: Path, *, keep: bool) -> Iterator[httpx.Client]:
    """A server's administrator, while a worker serves it."""
    with httpx.Client(base_url=f"{url}/v1", trust_env=False, timeout=30) as http:
        token = http.post("/workers", json={}).json()["token"]
        stopping = Stopping()
        options = Options(
            server=url, comfyui=engine, state=place / "worker", token=token, claim_wait_s=1, keep_node_packs=keep
        )
        thread = threading.Thread(target=Agent(options, stopping).run, daemon=True)
        thread.start()
        try:
            yield http
        finally:
            stopping.ask()
            thread.join()


def until(look: Callable[[], Any]) -> Any:
    limit = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < limit
        time.sleep(0.05)
    return found


def run_job(http: httpx.Client) -> dict[str, Any]:
    job = http.post("/jobs", json={"graph": GRAPH}).json()
    done = until(lambda: (now := http.get(f"/jobs/{job['id']}").json())["state"] in ("succeeded", "dead") and now)
    assert done["state"] == "succeeded", done
    return dict(done)


def build(packed: bytes, place: Path, comfyui: Path) -> Path:
    """Build an export as its README says, but with the Python that is here, and without a network."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(place / "export")
    own = {"USE_PYTHON": sys.executable, "COMFYUI_SOURCE": str(comfyui), "NO_NETWORK": "1"}
    target = place / "a place of its own"
    built = subprocess.run(
        ["bash", str(place / "export" / "build.sh"), str(target)],
        capture_output=True,
        text=True,
        env={**os.environ, **own},
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target


def look(url: str, state: Path) -> dict[str, Any]:
    with ComfyClient(url) as comfyui:
        survey = look_around(comfyui, StateFolder(state, url))
    return {"sha256": survey.environment_sha256.hex(), "document": dict(survey.environment)}


def test_what_was_built_from_an_export_fingerprints_equal(studio: Studio, tmp_path: Path) -> None:
    comfyui, commit = make_engine(tmp_path / "ComfyUI")
    command = command_of(comfyui, "--fast", "--cpu")
    with (
        _serving(studio.offices) as url,
        launched(command, variables=VARIABLES) as engine,
        working(url, engine, tmp_path, keep=True) as http,
    ):
        done = run_job(http)
        sha256 = done["result"]["environment_sha256"]
        shown = until(
            lambda: len((now := http.get(f"/environments/{sha256[:12]}").json())["kept_sources"]) == 2 and now
        )
        run_job(http)
        listed = http.get("/environments").json()["items"]
        runs = http.get(f"/environments/{sha256}/runs", params={"limit": 1}).json()
        more = http.get(f"/environments/{sha256}/runs", params={"cursor": runs["next_cursor"]}).json()
        packed = http.get(f"/environments/{sha256}/export").content
        assert packed == http.get(f"/environments/{sha256}/export").content, "equal exports are equal files"

    assert [one["sha256"] for one in listed] == [sha256]
    assert listed[0]["runs"] == 2
    assert [worker["present"] for worker in listed[0]["workers"]] == [True]
    assert [len(page["items"]) for page in (runs, more)] == [1, 1]
    assert runs["items"][0]["assets"]
    packs = {pack["name"]: pack for pack in shown["document"]["node_packs"]}
    assert packs["checked out"]["commit"] == commit
    assert packs["checked out"]["remote"] == "https://packs.example/a.git"
    assert packs["checked out"]["changed"] is False
    assert shown["unknown"] == {}, "of a stand-in everything is known that it has"

    target = build(packed, tmp_path, comfyui)
    with launched([str(target / "start.sh")], variables={"OMP_NUM_THREADS": "7", "MKL_CBWR": "AUTO"}) as engine:
        again = look(engine, tmp_path / "state")
    assert again["document"] == shown["document"]
    assert again["sha256"] == sha256

    (target / "ComfyUI/custom_nodes/plain/__init__.py").write_text("x = 2\n")
    with launched([str(target / "start.sh")]) as engine:
        changed = look(engine, tmp_path / "state")
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)
        diff = client.post(
            f"/v1/environments/{sha256}/diff", json={"document": changed["document"]}, headers=own
        ).json()
        same = client.post(f"/v1/environments/{sha256}/diff", json={"document": again["document"]}, headers=own).json()
    assert [one["name"] for one in diff["differences"]] == ["node_packs.plain.tree"]
    assert diff["now"] == changed["sha256"]
    assert (same["identical"], same["differences"]) == (True, [])


def test_sources_are_sent_only_where_it_was_allowed_and_come_from_none_but_the_job_s_worker(
    studio: Studio, tmp_path: Path
) -> None:
    comfyui, _ = make_engine(tmp_path / "ComfyUI")
    with (
        _serving(studio.offices) as url,
        launched(command_of(comfyui)) as engine,
        working(url, engine, tmp_path, keep=False) as http,
    ):
        done = run_job(http)
        sha256 = done["result"]["environment_sha256"]
        assert http.get(f"/environments/{sha256}").json()["kept_sources"] == {}
        key = next((tmp_path / "worker").glob("*.key")).read_text()
        own = {"Authorization": f"Bearer {key}", "Memoryd-Protocol": "1"}
        tree = http.get(f"/environments/{sha256}").json()["document"]["node_packs"][0]["tree"]
        lease = {"job_id": done["id"], "fence": 1, "token": "guessed"}
        asked = http.post("/work/pack-sources", json={**lease, "environment_sha256": sha256}, headers=own)
        sent = http.put(
            f"/work/pack-sources/{tree}", params={**lease, "environment": sha256}, content=b"x", headers=own
        )
        stranger = http.post("/work/pack-sources", json={**lease, "environment_sha256": sha256})
    assert asked.status_code in (404, 409), asked.text
    assert sent.status_code in (404, 409), sent.text
    assert stranger.status_code in (401, 409), stranger.text


@pytest.mark.parametrize("path", ["", "/{ref}", "/{ref}/runs", "/{ref}/export", "/{ref}/diff/{ref}"])
def test_environments_are_their_tenant_s_own(studio: Studio, path: str) -> None:
    from memoryd.catalog.environments import keep_environment

    with studio.offices.database.tenant_work(studio.tenant) as session:
        ref = keep_environment(session, {"comfyui": "0.29.0"}).hex()
    address = "/v1/environments" + path.format(ref=ref)
    with studio.speaking() as client:
        assert client.get(address).status_code == 401
        other = client.get(address, headers=studio.key(Role.VIEWER, tenant=studio.other_tenant))
        if path:
            assert other.status_code == 404
        else:
            assert other.json()["items"] == []
        answer = client.get(address, headers=studio.key(Role.VIEWER))
        assert answer.status_code == 200


def test_a_prefix_must_name_one_environment(studio: Studio) -> None:
    with studio.speaking() as client:
        own = studio.key(Role.VIEWER)
        for ref in ("00000000", "zz", "0", "no such thing"):
            answer = client.get(f"/v1/environments/{ref}", headers=own)
            assert answer.status_code == 404, ref
            assert "memoryd environment list" in answer.json()["hint"]
