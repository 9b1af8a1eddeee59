"""From what a graph calls a model to its bytes: known and one, or nothing."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable

import pytest

from memoryd.foundation.database import Session
from memoryd.model_registry.facts import Observation
from memoryd.model_registry.naming import resolve_names
from memoryd.model_registry.recording import list_present, record_observations
from memoryd.model_registry.tables import ModelName

See = Callable[..., Observation]


def record(session: Session, *seen: Observation, worker: str = "gpu-1", root: str = "/models") -> None:
    record_observations(session, None, worker=worker, root=root, observations=seen)


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_a_name_is_its_content_and_an_unknown_one_is_left_out(session: Session, see: See) -> None:
    record(session, see("checkpoints", "a.safetensors", b"a"), see("loras", "style/b.safetensors", b"b"))
    uses = [("checkpoints", "a.safetensors"), ("loras", "style\\b.safetensors"), ("loras", "a.safetensors")]
    assert resolve_names(session, uses) == {uses[0]: sha256(b"a"), uses[1]: sha256(b"b")}
    assert resolve_names(session, []) == {}


@pytest.mark.parametrize(
    ("role", "folder", "known"),
    [
        ("unet", "diffusion_models", True),
        ("clip", "text_encoders", True),
        ("text_encoders", "clip", True),
        ("loras", "checkpoints", False),
        ("", "loras", True),
        ("loras", "", True),
    ],
)
def test_folders_of_one_search_path_are_one(session: Session, see: See, role: str, folder: str, known: bool) -> None:
    record(session, see(folder, "a.safetensors", b"a"))
    assert bool(resolve_names(session, [(role, "a.safetensors")])) is known


def test_two_contents_for_one_name_are_no_answer_and_one_machine_decides(session: Session, see: See) -> None:
    use = ("loras", "a.pt")
    record(session, see(*use, b"here"), worker="gpu-1")
    record(session, see(*use, b"there"), worker="gpu-2")
    assert resolve_names(session, [use]) == {}
    assert resolve_names(session, [use], worker="gpu-2") == {use: sha256(b"there")}
    record(session, see(*use, b"here"), worker="gpu-2")
    assert resolve_names(session, [use]) == {use: sha256(b"here")}


def test_an_unreadable_copy_leaves_the_name_unknown(session: Session, see: See) -> None:
    use = ("loras", "a.pt")
    record(session, see(*use, b"a"), worker="gpu-1")
    record(session, see(*use, None), worker="gpu-2")
    assert resolve_names(session, [use]) == {}


def test_a_name_without_suffix_is_the_file_with_one(session: Session, see: See) -> None:
    record(session, see("embeddings", "neg.pt", b"neg"), see("loras", "v1.5.safetensors", b"v"))
    assert resolve_names(session, [("embeddings", "neg"), ("loras", "v1.5")]) == {
        ("embeddings", "neg"): sha256(b"neg"),
        ("loras", "v1.5"): sha256(b"v"),
    }
    record(session, see("embeddings", "neg.safetensors", b"other"))
    assert resolve_names(session, [("embeddings", "neg")]) == {}


def test_hostile_names_are_only_unknown(session: Session) -> None:
    assert resolve_names(session, [("loras", "a\0b\ud800.pt"), ("", ""), ("x" * 5000, "y" * 5000)]) == {}


def test_a_moment_has_the_content_of_its_interval(session: Session, see: See) -> None:
    use = ("loras", "a.pt")
    record(session, see(*use, b"old"))
    began = session.query(ModelName.seen_from).scalar()
    record(session, see(*use, b"new"))
    ended = session.query(ModelName.seen_to).where(ModelName.seen_to.is_not(None)).scalar()
    moment = datetime.timedelta(microseconds=1)
    assert resolve_names(session, [use], at=began) == {use: sha256(b"old")}
    assert resolve_names(session, [use], at=began - moment) == {}
    assert resolve_names(session, [use], at=ended + datetime.timedelta(hours=1)) == {use: sha256(b"new")}
    assert len(list_present(session, "gpu-1", "/models")) == 1
