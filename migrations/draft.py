"""Drafts the first migration of both lines from the rooms' tables, as plain SQL. Run: `python migrations/draft.py`.

Only for as long as no release has shipped: from then on the first migration is history, and a change is a new file
(`alembic revision`, with the template's law).
"""

import textwrap
from pathlib import Path

from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateSequence, CreateTable

from memoryd.app.every_table import metadata_of
from memoryd.foundation.declarative import FarmTable, TenantTable

HERE = Path(__file__).parent
TITLES = {
    "farm": ("0001_the_farm", "What all tenants share: the directory and the queue"),
    "tenant": ("0001_the_memory", "A tenant's memory"),
}


def statements(metadata: MetaData) -> list[str]:
    dialect = postgresql.dialect()
    made = [str(CreateSequence(s).compile(dialect=dialect)) for s in metadata._sequences.values()]
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        made += [
            str(CreateIndex(index).compile(dialect=dialect))
            for index in sorted(table.indexes, key=lambda i: str(i.name))
        ]
    # The dialect leaves a space at each line's end.
    lines = ("\n".join(line.rstrip() for line in statement.replace("\t", "    ").splitlines()) for statement in made)
    return [textwrap.dedent(statement).strip() for statement in lines]


def draft(line: str, metadata: MetaData) -> None:
    name, title = TITLES[line]
    body = "\n".join(f'    """\n{textwrap.indent(statement, "    ")}\n    """,' for statement in statements(metadata))
    (HERE / line / f"{name}.py").write_text(f'''"""{title}.

Revision 0001 of the {line} line. Nothing is imported from memoryd: renaming a table must never rewrite history.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
{body}
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore a backup")
''')


if __name__ == "__main__":
    metadata_of("tenant")  # loads every room's tables, of both lines
    draft("farm", FarmTable.metadata)
    draft("tenant", TenantTable.metadata)
    print(len(FarmTable.metadata.tables), "farm tables,", len(TenantTable.metadata.tables), "tenant tables")
