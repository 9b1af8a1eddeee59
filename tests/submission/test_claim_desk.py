"""One claim is under way at a time, and whoever asks meanwhile is served by the next."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from memoryd.foundation.database import Database
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.submission import claiming
from memoryd.submission.claim_desk import REPORTS_AT_ONCE_LIMIT, SERVED_AT_ONCE_LIMIT, ClaimDesk


class Stub:
    """Instead of the database: notes who was served together, and waits until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served: list[list[Any]] = []
        self.let_go = threading.Event()
        self.error: Exception | None = None
        monkeypatch.setattr(claiming, "claim_each", self._claim_each)
        self.desk = ClaimDesk(object())  # type: ignore[arg-type]

    def _claim_each(self, _: Database, asks: Sequence[Any]) -> list[Any]:
        self.served.append(list(asks))
        self.let_go.wait(5)
        if self.error is not None:
            raise self.error
        return [MemorydError("refused") if ask == "stranger" else f"job of {ask}" for ask in asks]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    return Stub(monkeypatch)


async def ask_all(stub: Stub, names: Sequence[str]) -> list[Any]:
    first = asyncio.ensure_future(stub.desk.claim("first"))  # type: ignore[arg-type]
    while not stub.served:
        await asyncio.sleep(0.001)
    others = [asyncio.ensure_future(stub.desk.claim(name)) for name in names]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    stub.let_go.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


def test_who_asks_meanwhile_is_served_together(stub: Stub) -> None:
    found = asyncio.run(ask_all(stub, ["a", "b", "c"]))
    assert found == ["job of first", "job of a", "job of b", "job of c"]
    assert stub.served == [["first"], ["a", "b", "c"]]


def test_a_transaction_serves_only_so_many(stub: Stub) -> None:
    names = [str(number) for number in range(SERVED_AT_ONCE_LIMIT + 3)]
    assert asyncio.run(ask_all(stub, names))[1:] == [f"job of {name}" for name in names]
    assert [len(served) for served in stub.served] == [1, SERVED_AT_ONCE_LIMIT, 3]


def test_one_that_is_refused_refuses_no_other(stub: Stub) -> None:
    _, stranger, friend = asyncio.run(ask_all(stub, ["stranger", "friend"]))
    assert isinstance(stranger, MemorydError)
    assert friend == "job of friend"


def test_a_database_that_is_down_is_told_to_everybody_and_the_next_may_ask(stub: Stub) -> None:
    async def ask() -> tuple[list[Any], Any]:
        stub.error = Unavailable("down")
        told = await ask_all(stub, ["a"])
        stub.error = None
        return told, await stub.desk.claim("b")  # type: ignore[arg-type]

    told, after = asyncio.run(ask())
    assert all(isinstance(one, Unavailable) for one in told)
    assert after == "job of b"


def test_only_so_many_reports_are_recorded_at_once(stub: Stub) -> None:
    under_way, most = 0, 0

    async def record() -> None:
        nonlocal under_way, most
        async with stub.desk.reports:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(record() for _ in range(10)))

    asyncio.run(all_of_them())
    assert most == REPORTS_AT_ONCE_LIMIT
