"""What changes do to accounts, a step each; the transaction around them is the writer's."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select

from gateway.config.validation_messages import counted, suggested
from gateway.core.account import Account
from gateway.core.deployment import check_id
from gateway.registry.base import ChangeError
from gateway.registry.database.rows import key_of
from gateway.registry.database.tables import accounts, deployments, keys
from gateway.registry.database.transaction import Transaction


@dataclass(frozen=True, slots=True)
class RemovedAccount:
    """An account that is no more, and how many keys, all of them ended before, went with it."""

    id: str
    ended_keys: int


async def add_account(change: Transaction, name: str) -> Account:
    try:
        check_id(name)
    except ValueError as error:
        raise ChangeError(f"Invalid account: {error}.") from error
    if name in await _names(change):
        raise ChangeError(f"There is an account {name} already.")
    made = Account(name, datetime.now(UTC))
    await change.insert(accounts, {"id": made.id, "created_at": made.created_at})
    return made


async def require_account(change: Transaction, name: str, *, create: bool) -> None:
    """Make sure that there is such an account. One that is missing is a slip of the pen, unless `create` says not."""
    known = await _names(change)
    if name in known:
        return
    if not create:
        raise ChangeError(
            f"There is no account {name!r}{suggested(name, known) or '.'} "
            f"`gguf-gateway accounts add {name}`, or --create-account, makes a new one."
        )
    await add_account(change, name)


async def ensure_accounts(change: Transaction, names: set[str]) -> None:
    for name in sorted(names - await _names(change)):
        await add_account(change, name)


async def remove_account(change: Transaction, name: str) -> RemovedAccount:
    """Forget an account that owns nothing, and with it the keys of it that had ended."""
    known = await _names(change)
    if name not in known:
        raise ChangeError(f"There is no account {name!r}{suggested(name, known) or '.'}")
    now = datetime.now(UTC)
    owned = [key_of(row._mapping) for row in await change.execute(select(keys).where(keys.c.account == name))]
    valid = sum(key.is_valid(now) for key in owned)
    query = select(func.count()).select_from(deployments).where(deployments.c.account == name)
    served: int = (await change.execute(query)).scalar_one()
    if valid or served:
        things = [counted(number, what) for number, what in ((served, "deployment"), (valid, "valid key")) if number]
        raise ChangeError(f"Account {name} has {' and '.join(things)}: remove and revoke them first.")
    for key in owned:  # they refer to each other
        await change.update(keys, key.id, {"successor_of": None})
    for key in owned:
        await change.delete(keys, key.id)
    await change.delete(accounts, name)
    return RemovedAccount(name, len(owned))


async def _names(change: Transaction) -> set[str]:
    return set((await change.execute(select(accounts.c.id))).scalars())
