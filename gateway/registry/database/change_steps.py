"""The single steps that changes to the database are made of; the transaction around them is the writer's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import select

from gateway.config.setting_types import check_label
from gateway.config.settings import DeploymentEntry, Settings
from gateway.config.validation_messages import suggested
from gateway.core.account import Key, digest_of, new_key_id, new_key_text
from gateway.core.deployment import check_id
from gateway.core.endpoints import DEFAULT_GROUPS
from gateway.registry.base import ChangeError
from gateway.registry.database.rows import DatabaseRow, key_of
from gateway.registry.database.tables import deployments, keys
from gateway.registry.database.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Imported:
    """How many keys and deployments an import added, and how many of them were there.

    Of the deployments that were there, those that differ from the file, and in what: `kept` as they were, or
    `overwritten` with what the file says.
    """

    keys_added: int = 0
    keys_known: int = 0
    deployments_added: int = 0
    deployments_known: int = 0
    deployments_kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deployments_overwritten: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def check_key(account: str, name: str, expires_at: datetime | None) -> None:
    for what, check, value in (("account", check_id, account), ("name", check_label, name)):
        try:
            check(value)
        except ValueError as error:
            raise ChangeError(f"Invalid {what}: {error}.") from error
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise ChangeError("The key would have expired before it was made.")


def check_deployment_id(deployment_id: str) -> None:
    try:
        check_id(deployment_id)
    except ValueError as error:
        raise ChangeError(f"Invalid id: {error}.") from error


async def no_deployment(change: Transaction, deployment_id: str) -> ChangeError:
    known = (await change.execute(select(deployments.c.id))).scalars()
    return ChangeError(f"There is no deployment {deployment_id!r}{suggested(deployment_id, known) or '.'}")


def new_key(account: str, name: str, expires_at: datetime | None, successor_of: str | None = None) -> tuple[Key, str]:
    text = new_key_text()
    now = datetime.now(UTC)
    return Key(new_key_id(), name, account, digest_of(text), expires_at, now, successor_of=successor_of), text


def key_row(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "digest": key.digest.hex(),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "successor_of": key.successor_of,
    }


async def free_name(change: Transaction, account: str, name: str, where: str = "") -> None:
    """Make sure that no valid key of the account has this name: an ended one no longer needs it.

    It is no rule of the schema: a key and its successor share their name for a while, and older databases hold others.
    """
    now, same = datetime.now(UTC), (keys.c.account == account) & (keys.c.name == name)
    for row in await change.execute(select(keys).where(same)):
        if (key := key_of(row._mapping)).is_valid(now):
            raise ChangeError(
                f"Account {account} has a valid key {name!r} already, {key.id}: "
                f"choose another name{where}, or revoke that key first (to replace it, rotate it)."
            )


async def find_key(change: Transaction, key_id: str) -> Key:
    row = (await change.execute(select(keys).where(keys.c.id == key_id))).first()
    if row is None:
        raise ChangeError("There is no key of this id; `gguf-gateway keys list` shows the ids.")
    return key_of(row._mapping)


async def deployment_row(change: Transaction, deployment_id: str) -> DatabaseRow:
    row = (await change.execute(select(deployments).where(deployments.c.id == deployment_id))).first()
    if row is None:
        raise await no_deployment(change, deployment_id)
    return row._mapping


async def owner_of(change: Transaction, deployment_id: str) -> str | None:
    found = await change.execute(select(deployments.c.account).where(deployments.c.id == deployment_id))
    return found.scalar()


async def put_deployment(change: Transaction, deployment_id: str, entry: DeploymentEntry, *, new: bool) -> None:
    if new:
        now = datetime.now(UTC)
        times = {"created_at": now, "updated_at": now}
        await change.insert(deployments, {"id": deployment_id, **columns_of(entry), **times})
    else:
        await put_columns(change, deployment_id, columns_of(entry))


async def put_columns(change: Transaction, deployment_id: str, values: Mapping[str, object]) -> None:
    await change.update(deployments, deployment_id, {**values, "updated_at": datetime.now(UTC)})


async def difference(change: Transaction, deployment_id: str, entry: DeploymentEntry) -> tuple[str, ...] | None:
    """The columns in which the database differs from the entry; None for a deployment that is not there."""
    row = (await change.execute(select(deployments).where(deployments.c.id == deployment_id))).first()
    if row is None:
        return None
    if row.account != entry.account:
        raise ChangeError(f"Deployment {deployment_id} belongs to another account in the database.")
    return tuple(name for name, value in columns_of(entry).items() if row._mapping[name] != value)


def columns_of(entry: DeploymentEntry) -> dict[str, object]:
    return {
        "account": entry.account,
        "upstream": entry.upstream,
        "upstream_key": entry.upstream_key,
        "status": entry.status.value,
        **entry.timeouts.model_dump(),
        **entry.limits.model_dump(),
        "ping": entry.ping,
        "ca_file": entry.ca_file,
        "endpoints": ",".join(entry.endpoints) if entry.endpoints != DEFAULT_GROUPS else None,
    }


async def put_keys(change: Transaction, settings: Settings) -> tuple[int, int]:
    rows = (await change.execute(select(keys.c.digest, keys.c.account))).all()
    owners = {row.digest: row.account for row in rows}
    added, known, now = 0, 0, datetime.now(UTC)
    for account, owner in settings.accounts.items():
        for entry in owner.keys:
            there = owners.get(entry.digest.hex())
            if there not in {None, account}:
                raise ChangeError(f"The key {account}/{entry.name} belongs to another account in the database.")
            if there is None:
                if entry.expires_at is None or entry.expires_at > now:
                    await free_name(change, account, entry.name, " in the file")
                key = Key(new_key_id(), entry.name, account, entry.digest, entry.expires_at, now)
                await change.insert(keys, key_row(key))
            added, known = added + (there is None), known + (there is not None)
    return added, known
