"""What is done with people."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.registry.database.tables import keys
from gateway.registry.database.team_tables import invitations, memberships, people, sessions
from gateway.team.models.common import Nothing, Page, PageQuery
from gateway.team.models.people import Person, PersonChange, PersonQuery, Session
from gateway.team.operation_error import Conflict, FieldError, Invalid, NotFound
from gateway.team.operations.accounts import require_accounts
from gateway.team.operations.playground import end_playground_keys_of
from gateway.team.operations.search import has_text
from gateway.team.operations.traffic.limits import drop_limits
from gateway.team.paging import page_of
from gateway.team.roles import Reach, Role
from gateway.team.unit_of_work import UnitOfWork


async def list_people(unit: UnitOfWork, query: PersonQuery) -> Page[Person]:
    """Those within the actor's reach, by name: for a member, themselves."""
    selected = select(people)
    if unit.actor.reach("people.list") is not Reach.EVERYTHING:
        selected = selected.where(people.c.id == unit.actor.id)
    if query.search is not None:
        selected = selected.where(has_text(query.search, people.c.name, people.c.email))
    found = await page_of(unit.connection, query, selected, [people.c.name], lambda row: row)
    accounts = await accounts_of(unit.connection, [row._mapping["id"] for row in found.items])
    items = [person_of(row, accounts.get(row._mapping["id"], ())) for row in found.items]
    return Page(items=items, next_cursor=found.next_cursor)


async def get_person(unit: UnitOfWork, person_id: str) -> Person:
    """One person. Raises NotFound."""
    return await _person(unit, "people.get", person_id)


async def change_person(unit: UnitOfWork, person_id: str, change: PersonChange) -> Person:
    """Make them different in what is named. Raises NotFound, Invalid, Conflict, Stale."""
    before = await _person(unit, "people.change", person_id)
    unit.check_version(before.version)
    named = change.model_dump(include=change.model_fields_set)
    for field in named.keys() - {"email"}:
        if named[field] is None:
            raise Invalid(errors=[FieldError(field, "must not be null")])
    after = before.model_copy(update=named)
    if after == before:
        return before
    await require_an_admin(unit, before, after)
    await require_free(unit.connection, after.name, after.email, but=person_id)
    columns = {name: value for name, value in named.items() if name != "accounts"}
    where = people.c.id == person_id
    await unit.connection.execute(update(people).where(where).values({**columns, "version": people.c.version + 1}))
    if "accounts" in named:
        await put_accounts(unit, person_id, named["accounts"])
    if not after.enabled:
        await end_sessions(unit, person_id)
    elif (after.role, after.accounts) != (before.role, before.accounts):
        await end_playground_keys_of(unit, person_id)
    changed = await _person(unit, "people.change", person_id)
    await unit.note(
        "people.change", person_id, before=before.model_dump(mode="json"), after=changed.model_dump(mode="json")
    )
    return changed


async def remove_person(unit: UnitOfWork, person_id: str) -> Person:
    """Forget them, and end their sessions. Their keys stay, or programs would stop: revoke those by themselves."""
    before = await _person(unit, "people.remove", person_id)
    unit.check_version(before.version)
    await require_an_admin(unit, before, None)
    await end_sessions(unit, person_id)
    await unit.connection.execute(delete(memberships).where(memberships.c.person == person_id))
    await unit.connection.execute(delete(invitations).where(invitations.c.person == person_id))
    for key_id in (await unit.connection.execute(select(keys.c.id).where(keys.c.created_by == person_id))).scalars():
        await unit.registry.update(keys, key_id, {"created_by": None})
    await drop_limits(unit, subject_kind="person", subject=person_id)
    await unit.connection.execute(delete(people).where(people.c.id == person_id))
    await unit.note("people.remove", person_id, before=before.model_dump(mode="json"))
    return before


async def sign_out_person(unit: UnitOfWork, person_id: str) -> Nothing:
    """End all of their sessions, wherever they are."""
    person = await _person(unit, "people.sign_out", person_id)
    await end_sessions(unit, person_id)
    await unit.note("people.sign_out", person.id)
    return Nothing()


async def list_sessions(unit: UnitOfWork, person_id: str, query: PageQuery) -> Page[Session]:
    """Where somebody is signed in, the newest first."""
    await _person(unit, "people.sessions", person_id)
    selected = select(sessions).where((sessions.c.person == person_id) & (sessions.c.expires_at > unit.now))
    order = [sessions.c.created_at, sessions.c.digest]
    return await page_of(unit.connection, query, selected, order, _session_of, newest_first=True)


def session_id(digest: str) -> str:
    """What tells a session apart: the first characters of its digest, which say nothing of its text."""
    return "ses_" + digest[:12]


async def add_person(unit: UnitOfWork, person_id: str, accounts: Iterable[str], **columns: Any) -> Person:
    """A new row; who adds it notes it. Raises Conflict for a name or an address that is taken, and Invalid."""
    await require_free(unit.connection, columns["name"], columns.get("email"))
    await unit.connection.execute(insert(people).values(id=person_id, created_at=unit.now, **columns))
    await put_accounts(unit, person_id, accounts)
    return await person_by_id(unit.connection, person_id)


async def person_by_id(connection: AsyncConnection, person_id: str) -> Person:
    """One person, whoever asks. Raises NotFound."""
    row = (await connection.execute(select(people).where(people.c.id == person_id))).first()
    if row is None:
        raise NotFound("There is no person of this id.")
    return person_of(row, (await accounts_of(connection, [person_id])).get(person_id, ()))


async def put_accounts(unit: UnitOfWork, person_id: str, accounts: Iterable[str]) -> None:
    """Make these the accounts that somebody belongs to. Raises Invalid for one that is not there."""
    wanted = sorted(set(accounts))
    await require_accounts(unit, wanted, "accounts")
    await unit.connection.execute(delete(memberships).where(memberships.c.person == person_id))
    if wanted:
        rows = [{"person": person_id, "account": account} for account in wanted]
        await unit.connection.execute(insert(memberships), rows)


async def require_free(connection: AsyncConnection, name: str, email: str | None, *, but: str = "") -> None:
    """Make sure that nobody else has this name or address. Raises Conflict."""
    if name.lower() in await names_taken(connection, but=but):
        raise Conflict(f"There is somebody called {name!r} already. Choose another name.")
    same = (people.c.email == email) & (people.c.id != but)
    if email is not None and (await connection.execute(select(people.c.id).where(same))).first():
        raise Conflict("Somebody has this e-mail address already.")


async def names_taken(connection: AsyncConnection, *, but: str = "") -> set[str]:
    """What people are called, in small letters. It is made here: SQLite's `lower` knows the letters of ASCII alone."""
    names = await connection.execute(select(people.c.name).where(people.c.id != but))
    return {name.lower() for name in names.scalars()}


async def end_sessions(unit: UnitOfWork, person_id: str) -> None:
    """Sign somebody out, wherever they are signed in. The keys of their playgrounds are part of it."""
    await unit.connection.execute(delete(sessions).where(sessions.c.person == person_id))
    await end_playground_keys_of(unit, person_id)


async def accounts_of(connection: AsyncConnection, person_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The accounts that each of these people belongs to, by the person's id."""
    found: dict[str, tuple[str, ...]] = {}
    selected = select(memberships).where(memberships.c.person.in_(list(person_ids))).order_by(memberships.c.account)
    for row in await connection.execute(selected):
        found[row.person] = (*found.get(row.person, ()), row.account)
    return found


def person_of(row: Row[Any], accounts: tuple[str, ...]) -> Person:
    """A person from their row."""
    stored = row._mapping
    return Person(
        id=stored["id"],
        name=stored["name"],
        email=stored["email"],
        role=Role(stored["role"]),
        accounts=accounts,
        enabled=stored["enabled"],
        has_password=stored["password"] is not None,
        created_at=stored["created_at"],
        version=stored["version"],
    )


def _session_of(row: Row[Any]) -> Session:
    stored = row._mapping
    times = {name: stored[name] for name in ("created_at", "seen_at", "expires_at")}
    return Session(id=session_id(stored["digest"]), address=stored["address"], **times)


async def _person(unit: UnitOfWork, action: str, person_id: str) -> Person:
    """Raises NotFound, for those beyond the actor's reach too."""
    if unit.actor.reach(action) is not Reach.EVERYTHING and person_id != unit.actor.id:
        raise NotFound("There is no person of this id.")
    return await person_by_id(unit.connection, person_id)


async def require_an_admin(unit: UnitOfWork, before: Person, after: Person | None) -> None:
    """Make sure that an admin is left who can sign in: the last one would lock everybody out."""
    stays = after is not None and after.role is Role.ADMIN and after.enabled
    if before.role is not Role.ADMIN or not before.enabled or stays:
        return
    others = (people.c.role == Role.ADMIN.value) & people.c.enabled & (people.c.id != before.id)
    if (await unit.connection.execute(select(people.c.id).where(others))).first() is None:
        raise Conflict(f"{before.name} is the last admin: make somebody else one first.")
