"""Model files under the names that a graph uses: for as long as its run lasts, and never over a file."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch.wire import Pin
from memoryd.stand_in.serving import Options as EngineOptions
from memoryd.stand_in.serving import running
from memoryd.weights.hashing import hash_file
from memoryd.worker import pins
from memoryd.worker.hash_memory import HashMemory
from memoryd.worker.model_links import HOLDERS, ModelLinks, NotLinked, Wanted
from memoryd.worker.pins import DRIFTED, MISSING, look_at

NAME = "pinned.safetensors"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models with one checkpoint."""
    folder = tmp_path / "models"
    (folder / "checkpoints" / "old").mkdir(parents=True)
    (folder / "loras").mkdir()
    put(folder / "checkpoints" / "old" / "renamed.safetensors", b"weights")
    return folder


@pytest.fixture
def comfyui(models: Path, tmp_path: Path) -> Iterator[ComfyClient]:
    """A stand-in that has these models."""
    with running(EngineOptions(models=models)) as url, ComfyClient(url) as client:
        yield client


@pytest.fixture
def hashes(tmp_path: Path) -> HashMemory:
    """What is known of files: nothing."""
    return HashMemory(tmp_path / "hashes.jsonl")


def put(path: Path, content: bytes) -> Path:
    """A file that has not been touched for a while."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def digest(path: Path) -> str:
    return hash_file(path).sha256.hex()


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def wanted(models: Path, name: str = NAME) -> Wanted:
    home = models / "checkpoints"
    return Wanted(folder="checkpoints", name=name, content=home / "old" / "renamed.safetensors", directories=(home,))


@pytest.mark.parametrize("name", [NAME, "old\\renamed.safetensors", "new/deep/er.safetensors", "狐 🦊.safetensors"])
def test_a_file_is_found_by_its_content_and_linked_under_the_graphs_name_for_a_while(
    name: str, models: Path, comfyui: ComfyClient, hashes: HashMemory, tmp_path: Path
) -> None:
    before = everything(models)
    content = models / "checkpoints" / "old" / "renamed.safetensors"
    hashes.measure(content)
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=name, sha256=digest(content))])
    assert looked.refusal is None
    assert [(link.name, link.content) for link in looked.links] == [(name, content)]
    with ModelLinks(tmp_path / "links").made(comfyui, looked.links, "job-1"):
        assert name in comfyui.model_names("checkpoints")
        assert (models / "checkpoints" / name).read_bytes() == b"weights"
        # Now it is there, under its name, with its content.
        again = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=name, sha256=digest(content))])
        assert (again.refusal, again.links) == (None, ())
    assert everything(models) == before
    assert name not in comfyui.model_names("checkpoints")


def test_a_file_of_the_same_name_in_another_subfolder_is_hashed_and_taken(
    models: Path, comfyui: ComfyClient, hashes: HashMemory
) -> None:
    moved = put(models / "checkpoints" / "archive" / NAME, b"moved")
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=NAME, sha256=digest(moved))])
    assert [link.content for link in looked.links] == [moved]


def test_a_file_that_was_just_renamed_is_known_by_its_size_and_hashed(
    models: Path, comfyui: ComfyClient, hashes: HashMemory
) -> None:
    wanted = hashes.measure(models / "checkpoints" / "old" / "renamed.safetensors")
    renamed = (models / "checkpoints" / "old" / "renamed.safetensors").rename(models / "checkpoints" / "x.safetensors")
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=NAME, sha256=wanted)])
    assert [link.content for link in looked.links] == [renamed]


def test_a_file_without_a_known_content_may_only_be_spelled_otherwise(
    models: Path, comfyui: ComfyClient, hashes: HashMemory
) -> None:
    other = look_at(comfyui, hashes, [Pin(folder="checkpoints", name="old\\renamed.safetensors")])
    assert [link.name for link in other.links] == ["old\\renamed.safetensors"]
    moved = look_at(comfyui, hashes, [Pin(folder="checkpoints", name="renamed.safetensors")])
    assert moved.refusal is not None
    assert moved.refusal.kind == MISSING


def test_weights_that_changed_under_their_name_are_refused_and_the_right_ones_are_pointed_at(
    models: Path, comfyui: ComfyClient, hashes: HashMemory
) -> None:
    right = models / "checkpoints" / "old" / "renamed.safetensors"
    wanted = hashes.measure(right)
    there = put(models / "checkpoints" / NAME, b"others")
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=NAME, sha256=wanted)])
    assert looked.refusal is not None
    assert looked.refusal.kind == DRIFTED
    assert f"{right} has what is asked for: move {there} aside" in looked.refusal.reason
    assert there.read_bytes() == b"others"


def test_a_content_that_is_only_assumed_refuses_nothing_and_tells_what_is_there(
    models: Path, comfyui: ComfyClient, hashes: HashMemory
) -> None:
    there = put(models / "checkpoints" / NAME, b"others")
    pin = Pin(folder="checkpoints", name=NAME, sha256="0" * 64, assumed=True)
    assert look_at(comfyui, hashes, [pin]).contents == {}, "no run waits for a hash that nobody insists on"
    known = hashes.measure(there)
    assert look_at(comfyui, hashes, [pin]).contents == {("checkpoints", NAME): known}


def test_what_is_nowhere_is_missing_and_says_what_is_not_hashed_yet(comfyui: ComfyClient, hashes: HashMemory) -> None:
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name=NAME, sha256="0" * 64)])
    assert looked.refusal is not None
    assert looked.refusal.kind == MISSING
    assert "1 files are not hashed yet" in looked.refusal.reason


def test_a_comfyui_elsewhere_is_not_linked_to_and_the_next_step_is_said(
    comfyui: ComfyClient, hashes: HashMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "is_here", lambda comfyui: False)
    looked = look_at(comfyui, hashes, [Pin(folder="checkpoints", name="renamed.safetensors", sha256="0" * 64)])
    assert looked.refusal is not None
    assert "which has old/renamed.safetensors" in looked.refusal.reason
    assert "run the worker on that machine" in looked.refusal.reason


def test_no_link_is_put_over_a_file(models: Path, comfyui: ComfyClient, tmp_path: Path) -> None:
    there = put(models / "checkpoints" / NAME, b"others")
    before = everything(models)
    with pytest.raises(NotLinked), ModelLinks(tmp_path / "links").made(comfyui, [wanted(models)], "job-1"):
        pass
    assert there.read_bytes() == b"others"
    assert everything(models) == before


@pytest.mark.parametrize(
    "name", ["../out.safetensors", "/abs.safetensors", "a/../../b.safetensors", "a\0.safetensors", ""]
)
def test_no_name_leads_out_of_the_folder(name: str, models: Path, comfyui: ComfyClient, tmp_path: Path) -> None:
    before = everything(tmp_path)
    with pytest.raises(NotLinked), ModelLinks(tmp_path / "links").made(comfyui, [wanted(models, name)], "job-1"):
        pass
    assert everything(tmp_path) - {"links"} == before


def test_without_symlinks_it_is_a_second_name_of_the_file(
    models: Path, comfyui: ComfyClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refused)
    before = everything(models)
    with ModelLinks(tmp_path / "links").made(comfyui, [wanted(models)], "job-1"):
        place = models / "checkpoints" / NAME
        assert not place.is_symlink()
        assert place.samefile(models / "checkpoints" / "old" / "renamed.safetensors")
    assert everything(models) == before
    monkeypatch.setattr(os, "link", refused)
    with (
        pytest.raises(NotLinked, match="Operation not permitted"),
        ModelLinks(tmp_path / "links").made(comfyui, [wanted(models)], "job-1"),
    ):
        pass
    assert everything(models) == before


def test_a_link_that_comfyui_does_not_see_is_taken_away_again(
    models: Path, comfyui: ComfyClient, tmp_path: Path
) -> None:
    before = everything(models)
    elsewhere = Wanted(
        folder="loras", name=NAME, content=wanted(models).content, directories=wanted(models).directories
    )
    with (
        pytest.raises(NotLinked, match="does not see"),
        ModelLinks(tmp_path / "links").made(comfyui, [elsewhere], "job-1"),
    ):
        pass
    assert everything(models) == before


def test_what_a_killed_worker_left_is_taken_away_at_its_next_start_and_what_runs_stays(
    models: Path, comfyui: ComfyClient, tmp_path: Path
) -> None:
    before = everything(models)
    for job in ("killed-1", "running-2"):
        # As a kill leaves it: the block never ends.
        opened = ModelLinks(tmp_path / "links").made(comfyui, [wanted(models, f"{job}/{NAME}")], job)
        opened.__enter__()
    links = ModelLinks(tmp_path / "links")
    links.restore({"running-2"})
    assert not (models / "checkpoints" / "killed-1").exists()
    assert (models / "checkpoints" / "running-2" / NAME).is_file()
    with links.made(comfyui, [], "running-2"):
        assert (models / "checkpoints" / "running-2" / NAME).is_file()
    assert everything(models) == before


def test_two_workers_of_one_folder_share_a_link_and_the_last_takes_it_away(
    models: Path, comfyui: ComfyClient, tmp_path: Path
) -> None:
    first, second = ModelLinks(tmp_path / "one"), ModelLinks(tmp_path / "two")
    with first.made(comfyui, [wanted(models)], "job-1"):
        sharing = second.made(comfyui, [wanted(models)], "job-2")
        sharing.__enter__()
    assert (models / "checkpoints" / NAME).is_file()
    sharing.__exit__(None, None, None)
    assert not (models / "checkpoints" / NAME).exists()
    assert not (models / "checkpoints" / HOLDERS).exists()


def test_what_somebody_put_in_the_links_place_is_theirs(models: Path, comfyui: ComfyClient, tmp_path: Path) -> None:
    place = models / "checkpoints" / NAME
    with ModelLinks(tmp_path / "links").made(comfyui, [wanted(models)], "job-1"):
        place.unlink()
        put(place, b"theirs")
    assert place.read_bytes() == b"theirs"


def test_a_folder_that_cannot_be_reached_keeps_its_note_until_it_can(
    models: Path, comfyui: ComfyClient, tmp_path: Path
) -> None:
    links = ModelLinks(tmp_path / "links")
    opened = links.made(comfyui, [wanted(models)], "job-1")
    opened.__enter__()
    shutil.move(models, tmp_path / "unplugged")
    links.restore(set())
    assert list((tmp_path / "links" / "job-1").glob("*.json"))
    shutil.move(tmp_path / "unplugged", models)
    links.restore(set())
    assert not (models / "checkpoints" / NAME).is_symlink()
    assert not (tmp_path / "links" / "job-1").exists()


def test_files_are_known_by_their_content_while_they_have_it(tmp_path: Path, hashes: HashMemory) -> None:
    one, two = put(tmp_path / "1.pt", b"same"), put(tmp_path / "2.pt", b"same")
    content = hashes.measure(one)
    hashes.measure(two)
    assert hashes.paths_of(content) == [one, two]
    put(one, b"other now")
    two.unlink()
    assert hashes.paths_of(content) == []
