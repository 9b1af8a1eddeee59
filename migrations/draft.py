"""Drafts the next migration of a line, as plain SQL: what the rooms' tables have and the migrations do not make yet.

Run: `python migrations/draft.py tenant ingest_at_depth`. It writes the next numbered file from the difference between a
database that all present migrations made and the rooms' tables; read it before it is committed, since it knows nothing
of the rows that are there: a new column that may not be null needs a value for them (the template's law).
"""

import io
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

from alembic.autogenerate import produce_migrations
from alembic.operations import Operations
from alembic.operations.ops import MigrateOperation, OpContainer
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.dialects import postgresql

from memoryd.access.directory import add_tenant
from memoryd.app.every_table import metadata_of
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.migrations import Line, ensure_farm_role, upgrade_schema

HERE = Path(__file__).parent
SCHEMAS = {"farm": "farm", "tenant": "t_draft"}


def drafted(line: Line) -> list[str]:
    """Return the statements that lead from the present migrations to the tables."""
    with tempfile.TemporaryDirectory() as home:
        cluster = Cluster(Path(home), durable=False)
        cluster.ensure_running()
        try:
            ensure_farm_role(cluster.owner_url())
            upgrade_schema(cluster.owner_url(), line="farm", schema="farm", role="memoryd_farm")
            add_tenant(cluster.owner_url(), "draft", "Draft")
            return _statements(cluster.owner_url(), line)
        finally:
            cluster.destroy()


def _statements(url: str, line: Line) -> list[str]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    metadata = metadata_of(line)
    assert isinstance(metadata, MetaData)
    with engine.connect() as connection:
        connection.execute(text(f"set search_path to {SCHEMAS[line]}, public"))
        connection.dialect.default_schema_name = SCHEMAS[line]
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "target_metadata": metadata,
                "include_name": lambda name, kind, parents: not (kind == "table" and name == "alembic_version"),
            },
        )
        upgrade = produce_migrations(context, metadata).upgrade_ops
    engine.dispose()
    written = io.StringIO()
    offline = MigrationContext.configure(
        dialect=postgresql.dialect(), opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    operations = Operations(offline)
    assert upgrade is not None
    for operation in _flat(upgrade.ops):
        operations.invoke(operation)
    clean = "\n".join(line.rstrip() for line in written.getvalue().replace("\t", "    ").splitlines())
    return [part.strip() for part in clean.split(";\n") if part.strip(" ;\n")]


def _flat(operations: Iterable[MigrateOperation]) -> Iterable[MigrateOperation]:
    for operation in operations:
        if isinstance(operation, OpContainer):
            yield from _flat(operation.ops)
        else:
            yield operation


def write(line: Line, noun: str) -> Path:
    """Write the next revision of a line."""
    last = max(path.name[:4] for path in (HERE / line).glob("[0-9]*.py"))
    number = f"{int(last) + 1:04}"
    body = "\n".join(
        f'    """\n{textwrap.indent(statement.rstrip(";"), "    ")}\n    """,' for statement in drafted(line)
    )
    path = HERE / line / f"{number}_{noun}.py"
    path.write_text(f'''"""{noun.replace("_", " ").capitalize()}.

Revision {number} of the {line} line, after {last}. Nothing is imported from memoryd: renaming a table must never rewrite
history.
"""

from alembic import op

revision = "{number}"
down_revision = "{last}"
branch_labels = None
depends_on = None

STATEMENTS = (
{body}
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
''')
    return path


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SCHEMAS:
        raise SystemExit("usage: python migrations/draft.py farm|tenant NOUN")
    chosen: Line = "farm" if sys.argv[1] == "farm" else "tenant"
    print(write(chosen, sys.argv[2]))
