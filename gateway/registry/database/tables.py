"""The tables that a gateway serves from; a counter of changes to them, and the rows that each concerned."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored without its zone: SQLite cannot store one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", Moment, nullable=False),
    Column("weight", Float, nullable=False, default=1.0),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("account", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 in hex; the key's text is stored nowhere
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("successor_of", ForeignKey("keys.id")),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("cut", Boolean, nullable=False, default=False),  # whether answers that run on it are broken off
    Column("prefix", String(16)),  # the first characters of its text; NULL for a key made before they were kept
    Column("created_by", String(64)),  # a person's id; NULL for a key made on the machine or by a token
    Column("deployments", Text),  # ids with a comma between, as the two below; NULL is all of them
    Column("endpoints", String(64)),
    Column("networks", Text),
    Column("priority", String(16), nullable=False, default="interactive"),
    Column("weight", Float, nullable=False, default=1.0),
    Column("version", Integer, nullable=False, default=1),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("upstream", String(512), nullable=False),
    Column("upstream_key", String(4096)),  # the gateway must send it, so it must be able to read it
    Column("status", String(16), nullable=False),
    Column("connect", Float),  # seconds, as the three below; NULL is the server's default
    Column("first_byte", Float),
    Column("silence", Float),
    Column("queue", Float),
    Column("connections", Integer),  # NULL is the server's default, as for the next
    Column("waiting", Integer),
    Column("ping", Float),  # seconds; NULL is never
    Column("ca_file", String(1024)),
    Column("endpoints", String(64)),  # names of groups with a comma between; NULL is the default
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("version", Integer, nullable=False, default=1),
)

limits = Table(
    "limits",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),  # the id of a key, a person or an account
    Column("deployment", String(64), nullable=False),  # empty: all of them together
    Column("measure", String(32), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("shadow", Boolean, nullable=False, default=False),
    Column("created_at", Moment, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    Column("counts_as", String(64)),  # the first of the keys that were rotated to this one
    UniqueConstraint("subject_kind", "subject", "deployment", "measure"),
)

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("number", Integer, nullable=False),  # one more with every change committed
)

changes = Table(
    "changes",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), primary_key=True),  # the name of a table
    Column("row_id", String(64), primary_key=True),  # what was added, changed or removed there
)
