"""Who is signed in: sessions, stored as digests of what the browser keeps; and admin tokens."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config.document import SourceError
from gateway.core.secret_text import digest_of, new_secret_text
from gateway.registry.database.team_tables import people, sessions, tokens
from gateway.team.actor import Actor, ActorKind, Way
from gateway.team.operations.people import accounts_of
from gateway.team.roles import Role
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.unit_of_work import TeamDatabase

SESSION_PREFIX = "gws_"
_SEEN_EVERY = timedelta(minutes=1)  # how often it is noted that a session is used


async def begin_session(connection: AsyncConnection, person_id: str, way: Way, limits: SessionLimits) -> str:
    """A new session's text, for a cookie. It is never one that came from outside (no fixation)."""
    now, text = datetime.now(UTC), new_secret_text(SESSION_PREFIX)
    await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    await connection.execute(
        insert(sessions).values(
            digest=digest_of(text).hex(),
            person=person_id,
            created_at=now,
            seen_at=now,
            expires_at=now + limits.longest,
            address=way.address,
        )
    )
    return text


async def signed_in(
    database: TeamDatabase, text: str, way: Way, limits: SessionLimits, *, by_itself: bool = False
) -> Actor | None:
    """The person whose session this is; None if it has ended, or never was.

    What a page asks for `by_itself`, to keep itself current, does not keep the session from being idle.
    """
    now, digest = datetime.now(UTC), digest_of(text).hex()
    joined = select(sessions, people).join(people, people.c.id == sessions.c.person)
    valid = (sessions.c.digest == digest) & (sessions.c.expires_at > now) & (sessions.c.seen_at > now - limits.idle)
    async with database.connect() as connection:
        row = (await connection.execute(joined.where(valid & people.c.enabled))).first()
        if row is None:
            return None
        found = row._mapping
        accounts = (await accounts_of(connection, [found[people.c.id]])).get(found[people.c.id], ())
    if not by_itself and now - found[sessions.c.seen_at] > _SEEN_EVERY:
        # A database that is locked or full keeps nobody out who only wants to read.
        with suppress(SourceError):
            async with database.begin() as writing:
                await writing.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now))
    role = Role(found[people.c.role])
    person_id, name = found[people.c.id], found[people.c.name]
    return Actor(ActorKind.PERSON, person_id, name, role, way, frozenset(accounts))


async def token_holder(database: TeamDatabase, text: str, way: Way) -> Actor | None:
    """The admin token as an actor; None for one that has ended, or never was."""
    now = datetime.now(UTC)
    async with database.connect() as connection:
        row = (await connection.execute(select(tokens).where(tokens.c.digest == digest_of(text).hex()))).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    scopes = frozenset(row.scopes.split(","))
    return Actor(ActorKind.TOKEN, row.id, row.name, Role.ADMIN, way, scopes=scopes)
