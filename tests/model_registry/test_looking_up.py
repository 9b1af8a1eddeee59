"""Finding models by whatever people and tools call them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from memoryd.foundation.database import Session
from memoryd.foundation.paging import BadCursor
from memoryd.model_registry.facts import Observation
from memoryd.model_registry.looking_up import (
    ModelAmbiguous,
    ModelNotFound,
    describe_names,
    find_model,
    list_models,
    show_model,
)
from memoryd.model_registry.recording import record_observations
from memoryd.weights.kinds import ModelKind

See = Callable[..., Observation]


def record(session: Session, *seen: Observation) -> None:
    record_observations(session, None, worker="w", root="/m", observations=seen)


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_a_model_is_found_by_hash_alias_path_and_name(session: Session, see: See) -> None:
    aliases = {"sshs": "abcdef0123456789"}
    record(session, see("loras", "style/ink.pt", b"x", aliases=aliases), see("vae", "v.pt", b"y"))
    digest = sha256(b"x").hex()
    for ref in (
        digest,
        digest[:10].upper(),
        digest[:9],
        "ABCDEF012345",
        "loras/style/ink.pt",
        "style/ink.pt",
        "ink.pt",
    ):
        assert find_model(session, ref) == sha256(b"x"), ref
    assert find_model(session, "loras\\style\\ink.pt") == sha256(b"x")
    assert show_model(session, sha256(b"x")).aliases == aliases


@pytest.mark.parametrize("ref", ["", "/", "nk.pt", "%.pt", "deadbeef", "style", "a\0b", "loras/"])
def test_what_is_not_there_is_not_found(session: Session, see: See, ref: str) -> None:
    record(session, see("loras", "style/ink.pt", b"x"))
    with pytest.raises(ModelNotFound):
        find_model(session, ref)


def test_two_models_by_one_name_are_named(session: Session, see: See) -> None:
    record(session, see("loras", "a/ink.pt", b"x"), see("loras", "b/ink.pt", b"y"))
    with pytest.raises(ModelAmbiguous, match=sha256(b"y").hex()[:12]):
        find_model(session, "ink.pt")
    assert find_model(session, "a/ink.pt") == sha256(b"x")


def test_a_list_is_filtered_and_paged(session: Session, see: See) -> None:
    record(session, *(see("loras", f"{i}.pt", b"%d" % i, kind=ModelKind.LORA) for i in range(5)))
    record(session, see("vae", "v.pt", b"v", kind=ModelKind.VAE, licence="MIT"))
    first = list_models(session, kind="lora", limit=3)
    rest = list_models(session, kind="lora", limit=3, cursor=first.next_cursor)
    assert rest.next_cursor is None
    assert len({model.sha256 for model in (*first.rows, *rest.rows)}) == 5
    assert [model.names[0].path for model in list_models(session, folder="vae").rows] == ["v.pt"]
    assert [model.kind for model in list_models(session, licensed=True).rows] == ["vae"]
    assert len(list_models(session, licensed=False).rows) == 5
    assert list_models(session, kind="\0").rows == []
    with pytest.raises(BadCursor):
        list_models(session, cursor="WzEsMl0")


def test_several_are_described_at_once(session: Session, see: See) -> None:
    record(session, see("loras", "a.pt", b"x", licence="MIT"))
    described = describe_names(session, [sha256(b"x"), b"?" * 32])
    assert list(described) == [sha256(b"x")]
    licence = described[sha256(b"x")].licence
    assert licence is not None
    assert licence.name == "MIT"
