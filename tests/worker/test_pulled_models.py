"""Pulled models on a worker's disk: what is in use or held stays, what is not memoryd's is never touched."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from memoryd.dispatch.fetch_wire import HeldRequest, ModelOffered
from memoryd.dispatch.wire import Claimed, JobKind
from memoryd.worker import pulled_models
from memoryd.worker.leases import Lease
from memoryd.worker.model_fetching import FetchLimits, ModelFetching, NotFetched
from memoryd.worker.pulled_models import Pulled, hold, is_pulled, let_go, list_kept
from memoryd.worker.server_link import ServerDown, ServerLink
from memoryd.worker.stopping import Stopping

TENANT = UUID(int=7)


class Link:
    """A server that holds what it is told to."""

    def __init__(self, held: set[str] | None = None) -> None:
        self.held = held

    def ask_for_held(self, request: HeldRequest) -> list[str]:
        if self.held is None:
            raise ServerDown("away", hint="later")
        return [one for one in request.sha256s if one in self.held]


def pulled(folder: Path, content: bytes, used_at: int, tenant: UUID = TENANT) -> Pulled:
    """A model that was pulled, and last used then."""
    one = Pulled(directory=folder, tenant=tenant, sha256=hashlib.sha256(content).hexdigest())
    with one.locked(never):
        one.part.write_bytes(content)
        one.note_verified()
    os.utime(one.use, (used_at, used_at))
    return one


def never() -> None:
    raise AssertionError("somebody has it locked")


def fetching(held: set[str] | None, room: int) -> ModelFetching:
    job = Claimed(
        job_id=uuid4(), fence=1, token="t", attempt=1, kind=JobKind.RUN, prompt="{}", extra_data="{}", recompute=False,
        inputs=[], pins=[], lease_s=9, deadline_s=99,
    )  # fmt: skip
    return ModelFetching(cast("ServerLink", Link(held)), FetchLimits(room=room), Lease(job), Stopping())


def make_room(held: set[str] | None, folder: Path, *, room: int, size: int = 100) -> None:
    target = Pulled(directory=folder, tenant=TENANT, sha256="f" * 64)
    offer = ModelOffered(folder="loras", name="x", sha256="f" * 64, size=size)
    cast("Any", fetching(held, room))._make_room(target, offer, [folder])


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    (folder / "own.safetensors").write_bytes(b"o" * 5000)
    return folder


def test_what_was_used_longest_ago_leaves_unless_it_is_held_or_in_use(loras: Path) -> None:
    held, used, idle, young = (pulled(loras, bytes([n]) * 100, 1_600_000_000 + n) for n in range(4))
    with contextlib.ExitStack() as stack:
        lock = hold(used)
        assert lock is not None
        stack.enter_context(lock)
        os.utime(used.use, (1_600_000_001,) * 2)
        make_room({held.sha256}, loras, room=400)
        assert [one.is_there() for one in (held, used, idle, young)] == [True, True, False, True]
        with pytest.raises(NotFetched, match="--model-limit"):
            make_room({held.sha256}, loras, room=250)
        assert [one.is_there() for one in (held, used)] == [True, True]
    assert (loras / "own.safetensors").stat().st_size == 5000


def test_without_the_servers_word_nothing_leaves(loras: Path) -> None:
    one = pulled(loras, b"a" * 100, 1_600_000_000)
    with pytest.raises(NotFetched):
        make_room(None, loras, room=150)
    assert one.is_there()


def test_a_model_beyond_the_whole_limit_drives_nothing_out(loras: Path) -> None:
    one = pulled(loras, b"a" * 100, 1_600_000_000)
    with pytest.raises(NotFetched):
        make_room(set(), loras, room=150, size=1000)
    assert one.is_there()


def test_what_was_touched_since_it_was_verified_is_not_believed(loras: Path) -> None:
    one = pulled(loras, b"a" * 100, 1_600_000_000)
    assert one.is_there()
    one.path.write_bytes(b"b" * 100)
    assert not one.is_there()
    assert hold(one) is None


def test_a_folder_named_twice_counts_once_and_foreign_files_not_at_all(loras: Path, tmp_path: Path) -> None:
    pulled(loras, b"a" * 100, 1_600_000_000)
    (tmp_path / "again").symlink_to(loras)
    stray = loras / pulled_models.FOLDER / "notes"
    stray.mkdir()
    (stray / "mine.txt").write_text("keep")
    kept = list_kept([loras, tmp_path / "again"])
    assert [one.size for one in kept] == [100]
    assert let_go(kept[0]) == 100
    assert (stray / "mine.txt").exists()


@pytest.mark.parametrize("way", [os.symlink, os.link])
def test_a_link_for_a_run_is_known_for_what_it_is(loras: Path, way: Callable[[Path, Path], None]) -> None:
    one = pulled(loras, b"a" * 100, 1_600_000_000)
    way(one.path, loras / "linked.safetensors")
    assert is_pulled(loras / "linked.safetensors", loras)
    assert not is_pulled(loras / "own.safetensors", loras)
