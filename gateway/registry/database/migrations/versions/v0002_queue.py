"""How long a request may wait in line for a connection: `timeouts.queue` of a deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column. It is NULL in every existing row: the server's default."""
    op.add_column("deployments", sa.Column("queue", sa.Float()))
