"""A limit of a key that was rotated goes on where its predecessor's stood."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column. The successors of before go on by themselves."""
    op.add_column("limits", sa.Column("counts_as", sa.String(64)))
