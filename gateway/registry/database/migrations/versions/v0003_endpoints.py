"""Which groups of endpoints a deployment's clients may call: `endpoints` of a deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column. It is NULL in every existing row: the default groups."""
    op.add_column("deployments", sa.Column("endpoints", sa.String(64)))
