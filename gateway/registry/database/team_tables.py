"""The tables of the team: people and how they sign in, admin tokens, and the audit log. No request reads them."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from gateway.registry.database.tables import Moment, metadata

people = Table(
    "people",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("email", String(254), unique=True),
    Column("role", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("password", String(255)),  # argon2id; NULL for who signs in elsewhere, or not yet
    Column("issuer", String(512)),  # of OpenID Connect, with the subject there; NULL for who never signed in so
    Column("subject", String(255)),
    Column("created_at", Moment, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("issuer", "subject"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("person", ForeignKey("people.id"), primary_key=True),
    Column("account", ForeignKey("accounts.id"), primary_key=True),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 in hex, as of every secret here
    Column("person", String(64)),  # whom the link signs in; NULL where it makes somebody new, who is described below
    Column("name", String(64)),  # with a person: that they choose a new password; NULL for a link that just signs in
    Column("email", String(254)),
    Column("role", String(16)),
    Column("accounts", Text),  # ids with a comma between
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", ForeignKey("people.id"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("address", String(64)),
)

failed_sign_ins = Table(
    "failed_sign_ins",
    metadata,
    Column("subject", String(80), primary_key=True),  # `name:` or `address:` and the SHA-256 of it
    Column("failures", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("scopes", Text, nullable=False),  # with a comma between
    Column("created_by", String(64)),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("answer", LargeBinary, nullable=False),  # sealed: only who asked can open it
    Column("created_at", Moment, nullable=False),
)

key_uses = Table(
    "key_uses",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("last_used_at", Moment, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False, index=True),
    Column("actor_kind", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("actor_name", String(64), nullable=False),
    Column("face", String(16), nullable=False),
    Column("address", String(64)),
    Column("action", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    Column("account", String(64)),
    Column("before", Text),  # JSON, as the next; NULL for what was not there
    Column("after", Text),
)

# Children before those whose rows they refer to.
TEAM_TABLES = (memberships, sessions, people, invitations, failed_sign_ins, tokens, idempotency, key_uses, audit)
