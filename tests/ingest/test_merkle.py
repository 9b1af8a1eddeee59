from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.ingest.merkle import merkle_root

_DIGESTS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=9, unique=True)


def test_nothing_has_no_root() -> None:
    assert merkle_root([]) is None


def test_one_file_is_a_leaf_and_not_its_own_digest() -> None:
    assert merkle_root([b"d" * 32]) == hashlib.sha256(b"\x00" + b"d" * 32).digest()


@settings(max_examples=50)
@given(_DIGESTS)
def test_order_and_repetition_do_not_matter_and_every_file_does(digests: list[bytes]) -> None:
    root = merkle_root(digests)
    assert merkle_root([*reversed(digests), digests[0]]) == root
    assert merkle_root(digests[1:]) != root
