"""Changes to the database: each is one transaction that increments the revision, so that every gateway sees it."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
from gateway.registry.database.tables import deployments, keys, revision

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
        async with self._change() as connection:
            return await add_account(connection, name)

    async def remove_account(self, name: str) -> RemovedAccount:
        """Forget an account without deployments and valid keys. Its ended keys are forgotten with it."""
        async with self._change() as connection:
            return await remove_account(connection, name)

    async def create_key(
        self, account: str, name: str, expires_at: datetime | None = None, *, create_account: bool = False
    ) -> tuple[Key, str]:
        """A new key, and its text, which is stored nowhere. With `create_account`, a missing account is made.

        No valid key of the account may have the name; that of an ended key is free again.
        """
        check_key(account, name, expires_at)
        key, text = new_key(account, name, expires_at)
        async with self._change() as connection:
            await require_account(connection, account, create=create_account)
            await free_name(connection, account, name)
            await connection.execute(insert(keys), key_row(key))
        return key, text

    async def revoke_key(self, key_id: str) -> Key:
        """End a key now. Ending it again changes nothing."""
        async with self._change() as connection:
            key = await find_key(connection, key_id)
            if key.revoked_at is None:
                await connection.execute(update(keys).where(keys.c.id == key_id).values(revoked_at=datetime.now(UTC)))
            return await find_key(connection, key_id)

    async def rotate_key(
        self, key_id: str, grace: timedelta = GRACE, expires_at: datetime | None = None
    ) -> tuple[Key, str, Key]:
        """A successor of the same account and name, its text, and the old key, which ends after `grace`.

        Without `expires_at`, a successor of a key that had a lifetime gets the same lifetime from now.
        """
        now = datetime.now(UTC)
        async with self._change() as connection:
            old = await find_key(connection, key_id)
            if not old.is_valid(now):
                raise ChangeError(f"Key {key_id} is already expired or revoked; create a new one.")
            if (await connection.execute(select(keys.c.id).where(keys.c.successor_of == key_id))).first():
                raise ChangeError(f"Key {key_id} was rotated before; rotate its successor.")
            if expires_at is None and old.expires_at is not None and old.created_at is not None:
                expires_at = now + (old.expires_at - old.created_at)
            check_key(old.account, old.name, expires_at)
            key, text = new_key(old.account, old.name, expires_at, successor_of=old.id)
            await connection.execute(insert(keys), key_row(key))
            end = min(now + grace, old.expires_at or now + grace)
            await connection.execute(update(keys).where(keys.c.id == key_id).values(expires_at=end))
            return key, text, await find_key(connection, key_id)

    async def add_deployment(self, deployment_id: str, entry: DeploymentEntry, *, create_account: bool = False) -> None:
        """A new deployment. With `create_account`, a missing account is made."""
        check_deployment_id(deployment_id)
        async with self._change() as connection:
            if await owner_of(connection, deployment_id) is not None:
                raise ChangeError(f"There is a deployment {deployment_id} already.")
            await require_account(connection, entry.account, create=create_account)
            await put_deployment(connection, deployment_id, entry, new=True)

    async def update_deployment(
        self, deployment_id: str, entry: DeploymentEntry, names: Collection[str], *, create_account: bool = False
    ) -> Mapping[str, tuple[object, object]]:
        """Make a deployment what the entry says, in the settings of these names (the columns') and in no others.

        Returns each that was something else: before, after. An upstream's key is among them as it is.
        """
        async with self._change() as connection:
            before = await deployment_row(connection, deployment_id)
            if "account" in names:
                await require_account(connection, entry.account, create=create_account)
            after = {name: value for name, value in columns_of(entry).items() if name in names}
            changed = {name: (before[name], value) for name, value in after.items() if before[name] != value}
            if changed:
                await put_columns(connection, deployment_id, {name: after[name] for name in changed})
            return changed

    async def set_status(self, deployment_id: str, status: Status) -> None:
        """Pause a deployment (`paused`), resume it (`auto`), or pin it."""
        values = {"status": status.value, "updated_at": datetime.now(UTC)}
        async with self._change() as connection:
            done = await connection.execute(update(deployments).where(deployments.c.id == deployment_id).values(values))
            if done.rowcount == 0:
                raise await no_deployment(connection, deployment_id)

    async def remove_deployment(self, deployment_id: str) -> None:
        """Forget a deployment. Answers that are under way are finished."""
        async with self._change() as connection:
            done = await connection.execute(delete(deployments).where(deployments.c.id == deployment_id))
            if done.rowcount == 0:
                raise await no_deployment(connection, deployment_id)

    async def import_settings(self, settings: Settings, *, overwrite: bool = False) -> Imported:
        """Take over the accounts, keys and deployments of a configuration file, all or nothing.

        What is there stays as it is: it may have been changed since, by command. With `overwrite`, a deployment
        becomes what the file says; a key never does, or one that was revoked could work again.
        """
        async with self._change() as connection:
            await ensure_accounts(connection, set(settings.accounts))
            added, known = await put_keys(connection, settings)
            found = {name: await difference(connection, name, entry) for name, entry in settings.deployments.items()}
            new = [name for name, columns in found.items() if columns is None]
            differing = {name: columns for name, columns in found.items() if columns}
            for name in [*new, *(differing if overwrite else ())]:
                await put_deployment(connection, name, settings.deployments[name], new=name in new)
            kept, overwritten = ({}, differing) if overwrite else (differing, {})
            return Imported(added, known, len(new), len(found) - len(new), kept, overwritten)

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[AsyncConnection]:
        """A transaction. It takes the revision first: what it reads then, no other change can make untrue."""
        with in_sentences(self._name):
            async with self._engine.begin() as connection:
                await connection.execute(update(revision).values(number=revision.c.number + 1))
                yield connection
