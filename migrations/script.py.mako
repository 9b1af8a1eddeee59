"""${message}.

Revision ${up_revision}, after ${down_revision}. The law: lock and statement timeouts are set by env.py; a column is added
nullable or with a constant default, filled in batches, and only then constrained; an index on a table that is in use is
built concurrently in a migration of its own; nothing is imported from memoryd.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    raise RuntimeError("memoryd goes forward; to go back, restore the backup that `memoryd db upgrade` asks for")
