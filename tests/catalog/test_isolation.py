from __future__ import annotations

import pytest
from sqlalchemy import text

from memoryd.catalog.tables import attached, content, decided, enriched, places, runs
from memoryd.foundation.database import Database, DBAPIError, TenantScope
from memoryd.foundation.declarative import TenantTable

PARTS = {part.__name__ for part in (attached, content, decided, enriched, places, runs)}
TABLES = sorted(mapper.local_table.name for mapper in TenantTable.registry.mappers if mapper.class_.__module__ in PARTS)


@pytest.mark.parametrize("table", TABLES)
def test_another_tenants_rows_are_out_of_reach(
    shared_database: Database, tenant: TenantScope, other_tenant: TenantScope, table: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"), shared_database.tenant_work(other_tenant) as session:
        session.execute(text(f"select * from {tenant.schema}.{table}"))


def test_every_table_of_the_room_is_meant() -> None:
    assert len(TABLES) == 36
