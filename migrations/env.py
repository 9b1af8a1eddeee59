"""Runs one line of migrations on one schema, over the connection that was handed over.

A migration imports nothing from memoryd: renaming a table must never rewrite history.
"""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]
metadata = context.config.attributes.get("metadata")

# A migration waits briefly for a lock and then gives up, so that it never queues the studio behind itself.
connection.execute(
    text("select set_config('lock_timeout', '5s', false), set_config('statement_timeout', '300s', false)")
)
connection.execute(text("select set_config('search_path', :path, false)"), {"path": f"{schema}, public"})
connection.commit()
connection.dialect.default_schema_name = schema
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="alembic_version",
    version_table_schema=schema,
    transaction_per_migration=True,
    include_name=lambda name, kind, parents: not (kind == "table" and name == "alembic_version"),
)
with context.begin_transaction():
    context.run_migrations()
