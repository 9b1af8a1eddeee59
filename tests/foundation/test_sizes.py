"""Amounts of bytes as people write them."""

from __future__ import annotations

import pytest

from memoryd.foundation.sizes import BadSize, parse_size, show_gigabytes


@pytest.mark.parametrize(
    ("spelled", "size"),
    [
        ("1", 1),
        ("200G", 200 * 10**9),
        ("6.5 GB", 6_500_000_000),
        ("10GiB", 10 * 2**30),
        ("5kb", 5_000),
        (" 1t ", 10**12),
        ("3MiB", 3 * 2**20),
    ],
)
def test_a_size_is_read_as_it_is_written(spelled: str, size: int) -> None:
    assert parse_size(spelled) == size


@pytest.mark.parametrize("spelled", ["", "G", "-1", "1e9", "0", "0.0000001K", "5 apples", "1iB", "9" * 40])
def test_what_is_no_size_is_refused_with_the_next_step(spelled: str) -> None:
    with pytest.raises(BadSize) as caught:
        parse_size(spelled)
    assert caught.value.hint


def test_how_far_something_is_is_said_in_one_unit() -> None:
    assert show_gigabytes(3_200_000_000, 6_600_000_000) == "3.2 of 6.6 GB"
    assert show_gigabytes(12_000_000, 40_000_000) == "12 of 40 MB"
    assert show_gigabytes(0, 100) == "0 of 1 MB"
