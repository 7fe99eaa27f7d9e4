"""Usage by hour and day, limits, and how the requests of keys and accounts wait."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables and columns. A key of before is interactive, and has the same share as any other."""
    op.add_column("accounts", _weight())
    op.add_column("keys", sa.Column("priority", sa.String(16), nullable=False, server_default="interactive"))
    op.add_column("keys", _weight())
    _add_limits()
    _add_usage("usage_hours", sa.Column("hour", sa.DateTime(), nullable=False))
    _add_usage("usage_days", sa.Column("day", sa.String(10), nullable=False))
    _add_latency()
    _add_batches()


def _weight() -> "sa.Column[float]":
    return sa.Column("weight", sa.Float(), nullable=False, server_default="1")


def _add_limits() -> None:
    op.create_table(
        "limits",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("measure", sa.String(32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
        sa.UniqueConstraint("subject_kind", "subject", "deployment", "measure", name="uq_limits_subject_kind"),
    )


def _add_usage(table: str, period: "sa.Column[object]") -> None:
    whole = ("requests", "answered", "tokens_in", "tokens_cached", "tokens_out", "tokens_counted")
    seconds = ("queue_seconds", "slot_seconds", "first_byte_seconds", "duration_seconds")
    op.create_table(
        table,
        period,
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("ending", sa.String(16), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in whole),
        *(sa.Column(name, sa.Float(), nullable=False) for name in seconds),
        sa.PrimaryKeyConstraint(period.name, "account", "key", "deployment", "endpoint", "ending", name=f"pk_{table}"),
    )


def _add_latency() -> None:
    op.create_table(
        "usage_latency",
        sa.Column("hour", sa.DateTime(), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "account", "deployment", "measure", "bucket", name="pk_usage_latency"),
    )


def _add_batches() -> None:
    op.create_table(
        "usage_batches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("written_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_batches"),
    )
    op.create_index("ix_usage_batches_written_at", "usage_batches", ["written_at"])
