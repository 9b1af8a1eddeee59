"""What is said of a database that will not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from memoryd.foundation import postgres_roles
from memoryd.foundation.postgres_roles import BadDatabaseUrl, DatabaseNotSuitable, DatabaseUnreachable, connected


class _Info:
    server_version = 150_004

    def parameter_status(self, name: str) -> str:
        return "15.4"


class _OldServer:
    info = _Info()


def test_a_server_too_old_is_named_with_what_is_needed() -> None:
    with pytest.raises(DatabaseNotSuitable, match=r"15\.4") as refused:
        postgres_roles._check_suitable(cast("Any", _OldServer()))
    assert "16 or newer" in str(refused.value.hint)


@pytest.mark.parametrize("address", ["mysql://root@host/db", "nonsense", ""])
def test_an_address_of_something_else_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadDatabaseUrl):
        postgres_roles.prepare_external(address, tmp_path)


def test_a_silent_server_is_told_by_its_reason_and_not_by_a_question() -> None:
    with pytest.raises(DatabaseUnreachable) as silent, connected("postgresql://a:b@127.0.0.1:1/c"):
        pass
    assert silent.value.detail.endswith("Connection refused")


def test_the_servers_own_word_comes_first() -> None:
    said = (
        'Multiple connection attempts failed:\n- host: "::1": refused\n- host: "db": failed: FATAL:  wrong password\n'
    )
    assert postgres_roles._reason(psycopg.OperationalError(said)).endswith("FATAL:  wrong password")
