"""Changes to the database: each is one transaction, of which every gateway reads what it has changed."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config.settings import DeploymentEntry, Settings
from gateway.core.account import Account, Key
from gateway.core.deployment import Status
from gateway.registry.base import ChangeError
from gateway.registry.database.account_steps import (
    RemovedAccount,
    add_account,
    ensure_accounts,
    remove_account,
    require_account,
)
from gateway.registry.database.change_steps import (
    Imported,
    check_deployment_id,
    check_key,
    columns_of,
    deployment_row,
    difference,
    find_key,
    free_name,
    key_row,
    new_key,
    no_deployment,
    owner_of,
    put_columns,
    put_deployment,
    put_keys,
)
from gateway.registry.database.engine import database_url, engine_for, in_sentences, name_of
from gateway.registry.database.migrate import prepare
from gateway.registry.database.tables import deployments, keys
from gateway.registry.database.transaction import Transaction

__all__ = ["GRACE", "ChangeError", "SqlWriter", "writer"]

GRACE = timedelta(hours=24)


@asynccontextmanager
async def writer(place: str | Path, *, create: bool = False) -> AsyncIterator["SqlWriter"]:
    """Open a database for changes, migrating it first. With `create`, an SQLite file that is missing is made.

    Raises SourceError if the database cannot be used.
    """
    url = database_url(place)
    await prepare(url, create=create)
    engine = engine_for(url, writing=True)
    try:
        yield SqlWriter(engine, name_of(url))
    finally:
        await engine.dispose()


class SqlWriter:
    """Every method is one transaction: when it returns, the change is on disk; when it raises, there is none.

    All raise ChangeError for an impossible change, SourceError for a database that fails.
    """

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._name = name

    async def add_account(self, name: str) -> Account:
        """A new account, which owns nothing yet."""
        async with self._change() as change:
            return await add_account(change, name)

    async def remove_account(self, name: str) -> RemovedAccount:
        """Forget an account without deployments and valid keys. Its ended keys are forgotten with it."""
        async with self._change() as change:
            return await remove_account(change, name)

    async def create_key(
        self, account: str, name: str, expires_at: datetime | None = None, *, create_account: bool = False
    ) -> tuple[Key, str]:
        """A new key, and its text, which is stored nowhere. With `create_account`, a missing account is made.

        No valid key of the account may have the name; that of an ended key is free again.
        """
        check_key(account, name, expires_at)
        key, text = new_key(account, name, expires_at)
        async with self._change() as change:
            await require_account(change, account, create=create_account)
            await free_name(change, account, name)
            await change.insert(keys, key_row(key))
        return key, text

    async def revoke_key(self, key_id: str) -> Key:
        """End a key now. Ending it again changes nothing."""
        async with self._change() as change:
            key = await find_key(change, key_id)
            if key.revoked_at is None:
                await change.update(keys, key_id, {"revoked_at": datetime.now(UTC)})
            return await find_key(change, key_id)

    async def rotate_key(
        self, key_id: str, grace: timedelta = GRACE, expires_at: datetime | None = None
    ) -> tuple[Key, str, Key]:
        """A successor of the same account and name, its text, and the old key, which ends after `grace`.

        Without `expires_at`, a successor of a key that had a lifetime gets the same lifetime from now.
        """
        now = datetime.now(UTC)
        async with self._change() as change:
            old = await find_key(change, key_id)
            if not old.is_valid(now):
                raise ChangeError(f"Key {key_id} is already expired or revoked; create a new one.")
            if (await change.execute(select(keys.c.id).where(keys.c.successor_of == key_id))).first():
                raise ChangeError(f"Key {key_id} was rotated before; rotate its successor.")
            if expires_at is None and old.expires_at is not None and old.created_at is not None:
                expires_at = now + (old.expires_at - old.created_at)
            check_key(old.account, old.name, expires_at)
            key, text = new_key(old.account, old.name, expires_at, successor_of=old.id)
            await change.insert(keys, key_row(key))
            end = min(now + grace, old.expires_at or now + grace)
            await change.update(keys, key_id, {"expires_at": end})
            return key, text, await find_key(change, key_id)

    async def add_deployment(self, deployment_id: str, entry: DeploymentEntry, *, create_account: bool = False) -> None:
        """A new deployment. With `create_account`, a missing account is made."""
        check_deployment_id(deployment_id)
        async with self._change() as change:
            if await owner_of(change, deployment_id) is not None:
                raise ChangeError(f"There is a deployment {deployment_id} already.")
            await require_account(change, entry.account, create=create_account)
            await put_deployment(change, deployment_id, entry, new=True)

    async def update_deployment(
        self, deployment_id: str, entry: DeploymentEntry, names: Collection[str], *, create_account: bool = False
    ) -> Mapping[str, tuple[object, object]]:
        """Make a deployment what the entry says, in the settings of these names (the columns') and in no others.

        Returns each that was something else: before, after. An upstream's key is among them as it is.
        """
        async with self._change() as change:
            before = await deployment_row(change, deployment_id)
            if "account" in names:
                await require_account(change, entry.account, create=create_account)
            after = {name: value for name, value in columns_of(entry).items() if name in names}
            changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
            if changed:
                await put_columns(change, deployment_id, {name: after[name] for name in changed})
            return changed

    async def set_status(self, deployment_id: str, status: Status) -> None:
        """Pause a deployment (`paused`), resume it (`auto`), or pin it."""
        values = {"status": status.value, "updated_at": datetime.now(UTC)}
        async with self._change() as change:
            if not await change.update(deployments, deployment_id, values):
                raise await no_deployment(change, deployment_id)

    async def remove_deployment(self, deployment_id: str) -> None:
        """Forget a deployment. Answers that are under way are finished."""
        async with self._change() as change:
            if not await change.delete(deployments, deployment_id):
                raise await no_deployment(change, deployment_id)

    async def import_settings(self, settings: Settings, *, overwrite: bool = False) -> Imported:
        """Take over the accounts, keys and deployments of a configuration file, all or nothing.

        What is there stays as it is: it may have been changed since, by command. With `overwrite`, a deployment
        becomes what the file says; a key never does, or one that was revoked could work again.
        """
        async with self._change() as change:
            await ensure_accounts(change, set(settings.accounts))
            added, known = await put_keys(change, settings)
            found = {name: await difference(change, name, entry) for name, entry in settings.deployments.items()}
            new = [name for name, columns in found.items() if columns is None]
            differing = {name: columns for name, columns in found.items() if columns}
            for name in [*new, *(differing if overwrite else ())]:
                await put_deployment(change, name, settings.deployments[name], new=name in new)
            kept, overwritten = ({}, differing) if overwrite else (differing, {})
            return Imported(added, known, len(new), len(found) - len(new), kept, overwritten)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[Transaction]:
        """A transaction. One that changes nothing leaves no trace: no gateway need read anything."""
        with in_sentences(self._name):
            async with self._engine.connect() as connection:
                change = await Transaction.begin(connection)
                yield change
                if change.has_changed:
                    await change.note()
                    await connection.commit()
