"""One bit of a latent's numbers, names or shapes is another latent; its texts are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memoryd.reproduction.latent_values import latent_values


@pytest.fixture
def latent(files: Path) -> bytes:
    return (files / "comfyui/media/latent.latent").read_bytes()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_never_equal_but_in_the_texts(latent: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(latent) - 1))
    mutated = bytearray(latent)
    mutated[place] ^= 1 << data.draw(st.integers(0, 7))
    size = int.from_bytes(latent[:8], "little")
    if latent_values(bytes(mutated)) != latent_values(latent):
        return
    assert 8 <= place < 8 + size
    told, before = (json.loads(raw[8 : 8 + size]) for raw in (mutated, latent))
    assert {**told, "__metadata__": 0} == {**before, "__metadata__": 0}, "what is no text is as it was"


@pytest.mark.parametrize(
    "raw", [b"", b"1234567", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_latent_has_no_values(raw: bytes) -> None:
    assert latent_values(raw) is None
