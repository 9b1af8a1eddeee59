"""What a run reads from ComfyUI's own folders goes with its result, if it was the same before the run and after it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memoryd.comfyui.errors import EngineFileMissing
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import Claimed, InputFile, JobKind
from memoryd.worker import seen_inputs
from memoryd.worker.seen_inputs import SeenInputs


class Folders:
    """A ComfyUI's folders: (type, subfolder, name) -> content."""

    def __init__(self, files: dict[tuple[str, str, str], bytes]) -> None:
        self.files, self.asked = files, []  # type: ignore[var-annotated]

    @contextlib.contextmanager
    def view(self, file: OutputFile) -> Iterator[Iterator[bytes]]:
        place = (file.type, file.subfolder, file.filename)
        self.asked.append(place)
        if place not in self.files:
            raise EngineFileMissing(str(place))
        yield iter([self.files[place][:1], self.files[place][1:]])


def job(*names: Any, sent: tuple[InputFile, ...] = ()) -> Claimed:
    prompt = {str(n): {"class_type": "LoadImage", "inputs": {"image": name}} for n, name in enumerate(names)}
    return Claimed(
        job_id=uuid.uuid4(),
        fence=1,
        token="t",
        attempt=1,
        kind=JobKind.RUN,
        prompt=json.dumps(prompt),
        extra_data="{}",
        recompute=False,
        inputs=list(sent),
        pins=[],
        lease_s=10,
        deadline_s=10,
    )


def looked(folders: Folders, claimed: Claimed) -> SeenInputs:
    seen = SeenInputs(folders, claimed)  # type: ignore[arg-type]
    seen.look()
    return seen


def test_what_lies_there_comes_along_under_the_graph_s_own_spelling(tmp_path: Path) -> None:
    folders = Folders({("input", "a", "x.png"): b"one", ("output", "", "y.png"): b"two"})
    seen = looked(folders, job("a\\x.png", "y.png [output]", "gone.png", "a word", 7, "../etc/secret.png"))
    kept = seen.collect(tmp_path, 3)
    assert [(each.index, each.output, each.type, each.sha256) for each in kept] == [
        (3, "a\\x.png", "seen-input", hashlib.sha256(b"one").hexdigest()),
        (4, "y.png [output]", "seen-output", hashlib.sha256(b"two").hexdigest()),
    ]
    assert [(tmp_path / name).read_bytes() for name in ("3", "4")] == [b"one", b"two"]
    assert not any(".." in subfolder for _, subfolder, _ in folders.asked)


def test_what_was_replaced_while_it_ran_is_not_said_to_be_what_it_read(tmp_path: Path) -> None:
    folders = Folders({("input", "", "x.png"): b"one", ("input", "", "y.png"): b"two"})
    seen = looked(folders, job("x.png", "y.png"))
    folders.files["input", "", "x.png"] = b"other"
    [kept] = seen.collect(tmp_path, 0)
    assert (kept.index, kept.output) == (0, "y.png")
    assert (tmp_path / "0").read_bytes() == b"two"
    assert not (tmp_path / "1").exists()


def test_what_was_sent_along_is_not_asked_for_and_films_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_inputs, "BYTES_LIMIT", 4)
    folders = Folders({("input", "", "x.png"): b"one", ("input", "", "film.mp4"): b"far too long"})
    sent = InputFile(name="x.png", sha256=hashlib.sha256(b"one").hexdigest(), size=3)
    assert looked(folders, job("x.png", "film.mp4", sent=(sent,))).collect(tmp_path, 0) == []
    assert folders.asked == [("input", "", "film.mp4")]
