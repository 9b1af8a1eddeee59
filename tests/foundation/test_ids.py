from __future__ import annotations

from uuid import UUID

from memoryd.foundation.ids import new_id, new_ids


def test_ids_ascend_however_they_are_taken() -> None:
    taken = [new_id(), *[UUID(bytes=id_) for id_ in new_ids(500)], new_id()]
    assert sorted(taken) == taken
    assert len({*taken}) == 502
    assert {(id_.version, id_.variant) for id_ in taken} == {(7, taken[0].variant)}
