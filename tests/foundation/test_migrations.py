"""Where a schema stands, and what is said of it."""

from __future__ import annotations

import pytest

from memoryd.foundation.migrations import SchemaBehind, SchemaState, head, require_current, require_upgradable


def at(revision: str | None) -> SchemaState:
    return SchemaState(schema="t_acme", line="tenant", revision=revision, head=head("tenant"))


def test_an_older_schema_is_to_be_upgraded() -> None:
    require_upgradable([at(None), at(head("tenant"))])
    with pytest.raises(SchemaBehind) as behind:
        require_current([at(None)])
    assert behind.value.hint == "run `memoryd db upgrade`"


def test_a_newer_schema_is_neither_served_nor_touched() -> None:
    for refuse in (require_current, require_upgradable):
        with pytest.raises(SchemaBehind, match="t_acme is at 9999") as newer:
            refuse([at(head("tenant")), at("9999")])
        assert "newer" in str(newer.value.hint)
