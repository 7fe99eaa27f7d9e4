"""What is done with accounts."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.config.document import counted
from gateway.config.validation_messages import suggested
from gateway.registry.database.rows import key_of
from gateway.registry.database.tables import accounts, deployments, keys
from gateway.registry.database.team_tables import key_uses, memberships
from gateway.team.models.accounts import Account, AccountChange, NewAccount, RemovedAccount
from gateway.team.models.common import Page, PageQuery
from gateway.team.operation_error import Conflict, FieldError, Invalid, NotFound
from gateway.team.operations.traffic.limits import drop_limits
from gateway.team.paging import page_of
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork


async def list_accounts(unit: UnitOfWork, query: PageQuery) -> Page[Account]:
    """Those within the actor's reach, by name."""
    within = reachable(unit, "accounts.list", accounts.c.id)
    return await page_of(
        unit.connection, query, select(accounts).where(*within), [accounts.c.id], lambda row: Account(**row._mapping)
    )


async def create_account(unit: UnitOfWork, new: NewAccount) -> Account:
    """A new account, which owns nothing yet. Raises Conflict if there is one of this name."""
    if new.id in await names_of_accounts(unit.connection):
        raise Conflict(f"There is an account {new.id} already.")
    made = Account(id=new.id, created_at=unit.now, weight=new.weight)
    await unit.registry.insert(accounts, made.model_dump())
    await unit.note("accounts.create", made.id, account=made.id, after=made.model_dump(mode="json"))
    return made


async def change_account(unit: UnitOfWork, account: str, change: AccountChange) -> Account:
    """Give it another weight. Raises NotFound."""
    before = await _account(unit, account)
    if change.weight == before.weight:
        return before
    await unit.registry.update(accounts, account, {"weight": change.weight})
    after = before.model_copy(update={"weight": change.weight})
    noted = {"before": {"weight": before.weight}, "after": {"weight": after.weight}}
    await unit.note("accounts.change", account, account=account, **noted)
    return after


async def remove_account(unit: UnitOfWork, account: str) -> RemovedAccount:
    """Forget an account that owns nothing, and with it those keys of it that had ended. Raises NotFound, Conflict."""
    removed = await _account(unit, account)
    await _require_empty(unit, account)
    owned = (await unit.connection.execute(select(keys.c.id).where(keys.c.account == account))).scalars().all()
    await unit.connection.execute(delete(key_uses).where(key_uses.c.key.in_(owned)))
    await unit.connection.execute(update(keys).where(keys.c.account == account).values(successor_of=None))
    await drop_limits(unit, subject_kind="account", subject=account)
    for key_id in owned:
        await drop_limits(unit, subject_kind="key", subject=key_id)
        await unit.registry.delete(keys, key_id)
    await unit.connection.execute(delete(memberships).where(memberships.c.account == account))
    await unit.registry.delete(accounts, account)
    await unit.note("accounts.remove", account, account=account, before=removed.model_dump(mode="json"))
    return RemovedAccount(**removed.model_dump(), ended_keys=len(owned))


async def _account(unit: UnitOfWork, account: str) -> Account:
    row = (await unit.connection.execute(select(accounts).where(accounts.c.id == account))).first()
    if row is None:
        known = await names_of_accounts(unit.connection)
        raise NotFound(f"There is no account {account!r}{suggested(account, known) or '.'}")
    return Account(**row._mapping)


async def require_accounts(unit: UnitOfWork, names: Iterable[str], field: str = "account") -> None:
    """Make sure that there are such accounts. Raises Invalid, which names the one that is missing."""
    known = await names_of_accounts(unit.connection)
    for name in names:
        if name not in known:
            sentence = f"There is no account {name!r}{suggested(name, known) or '.'}"
            raise Invalid(sentence, [FieldError(field, "names no account")])


async def names_of_accounts(connection: AsyncConnection) -> set[str]:
    """The names of all accounts."""
    return set((await connection.execute(select(accounts.c.id))).scalars())


def reachable(unit: UnitOfWork, action: str, account: ColumnElement[str]) -> list[ColumnElement[bool]]:
    """The conditions under which what belongs to `account` is within the actor's reach."""
    if unit.actor.reach(action) is Reach.EVERYTHING:
        return []
    return [account.in_(unit.actor.accounts)]


async def _require_empty(unit: UnitOfWork, account: str) -> None:
    owned = (await unit.connection.execute(select(keys).where(keys.c.account == account))).all()
    valid = sum(key_of(row._mapping).state(unit.now) in {"valid", "off"} for row in owned)
    query = select(func.count()).select_from(deployments).where(deployments.c.account == account)
    served: int = (await unit.connection.execute(query)).scalar_one()
    if valid or served:
        things = [counted(number, what) for number, what in ((served, "deployment"), (valid, "valid key")) if number]
        raise Conflict(f"Account {account} has {' and '.join(things)}: remove and revoke them first.")
