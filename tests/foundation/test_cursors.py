from __future__ import annotations

from uuid import UUID

import pytest

from memoryd.foundation.paging import BadCursor, decode_id, encode_cursor

ID = UUID(int=7)


def test_a_cursor_of_one_id_names_it_and_no_cursor_names_none() -> None:
    assert decode_id(encode_cursor(str(ID))) == ID
    assert decode_id(None) is None


@pytest.mark.parametrize(
    "cursor", ["", "x", encode_cursor("no id"), encode_cursor(7), encode_cursor(None), encode_cursor(str(ID), 1)]
)
def test_another_lists_cursor_is_refused_and_never_the_first_page(cursor: str) -> None:
    with pytest.raises(BadCursor):
        decode_id(cursor)
