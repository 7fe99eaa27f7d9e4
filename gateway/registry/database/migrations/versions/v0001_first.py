"""Accounts, keys, deployments, and the revision counter.

A migration spells its tables out, and does not import them: it must do the same forever.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first schema."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime()),
        sa.Column("revoked_at", sa.DateTime()),
        sa.Column("successor_of", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_keys_account"),
        sa.ForeignKeyConstraint(["successor_of"], ["keys.id"], name="fk_keys_successor_of"),
    )
    op.create_index("ix_keys_account", "keys", ["account"])
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("upstream", sa.String(512), nullable=False),
        sa.Column("upstream_key", sa.String(4096)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("connect", sa.Float()),
        sa.Column("first_byte", sa.Float()),
        sa.Column("silence", sa.Float()),
        sa.Column("connections", sa.Integer()),
        sa.Column("waiting", sa.Integer()),
        sa.Column("ping", sa.Float()),
        sa.Column("ca_file", sa.String(1024)),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name="fk_deployments_account"),
    )
    op.create_index("ix_deployments_account", "deployments", ["account"])
    counter = op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_revision_single")),
        sa.PrimaryKeyConstraint("id", name="pk_revision"),
    )
    op.bulk_insert(counter, [{"id": 1, "number": 1}])
