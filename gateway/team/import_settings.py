"""Takes the accounts, keys and deployments of a configuration file over into the database, all or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from gateway.config.settings import DeploymentEntry, Settings
from gateway.core.account import new_key_id
from gateway.core.rate_limits import RateLimit, SubjectKind
from gateway.registry.database.tables import accounts, deployments, keys
from gateway.team.operation_error import Conflict
from gateway.team.operations.accounts import names_of_accounts
from gateway.team.operations.deployments import columns_of
from gateway.team.operations.keys import require_free_name
from gateway.team.operations.traffic.limits import add_limit
from gateway.team.unit_of_work import UnitOfWork

_LONGEST_TARGET = 64  # characters; the audit log holds no more


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


async def import_settings(unit: UnitOfWork, settings: Settings, file: str, *, overwrite: bool = False) -> Imported:
    """Take over what the file holds. The audit log gets one row, about the file, if anything is new.

    What is there stays as it is: it may have been changed since. With `overwrite`, a deployment becomes what the file
    says; a key never does, or one that was revoked could work again. Raises Conflict for what another account has.
    """
    new_accounts = sorted(set(settings.accounts) - await names_of_accounts(unit.connection))
    for name in new_accounts:
        weight = settings.accounts[name].weight
        await unit.registry.insert(accounts, {"id": name, "created_at": unit.now, "weight": weight})
        await _put_limits(unit, settings.accounts[name].limits.over(SubjectKind.ACCOUNT, name))
    new_keys, keys_known = await _put_keys(unit, settings)
    found = {name: await _difference(unit, name, entry) for name, entry in settings.deployments.items()}
    new = [name for name, columns in found.items() if columns is None]
    differing = {name: columns for name, columns in found.items() if columns}
    for name in new:
        row = {"id": name, **columns_of(settings.deployments[name]), "created_at": unit.now, "updated_at": unit.now}
        await unit.registry.insert(deployments, row)
    overwritten = differing if overwrite else {}
    for name in overwritten:
        values = {"updated_at": unit.now, "version": deployments.c.version + 1}
        await unit.registry.update(deployments, name, {**columns_of(settings.deployments[name]), **values})
    after = {"accounts": new_accounts, "keys": new_keys, "deployments": new, "overwritten": sorted(overwritten)}
    if any(after.values()):
        await unit.note("registry.import", file[-_LONGEST_TARGET:], after=after)
    kept = {} if overwrite else differing
    return Imported(len(new_keys), keys_known, len(new), len(found) - len(new), kept, overwritten)


async def _put_keys(unit: UnitOfWork, settings: Settings) -> tuple[list[str], int]:
    """Add the keys that are not there. Returns the ids of those, and how many were."""
    rows = (await unit.connection.execute(select(keys.c.digest, keys.c.account))).all()
    owners = {row.digest: row.account for row in rows}
    added, known = [], 0
    for account, owner in settings.accounts.items():
        for entry in owner.keys:
            there = owners.get(entry.digest.hex())
            if there is not None and there != account:
                raise Conflict(f"The key {account}/{entry.name} belongs to another account in the database.")
            if there is not None:
                known += 1
                continue
            if entry.expires_at is None or entry.expires_at > unit.now:
                await require_free_name(unit, account, entry.name, " in the file")
            added.append(new_key_id())
            row = {"id": added[-1], "name": entry.name, "account": account, "digest": entry.digest.hex()}
            waits = {"priority": entry.priority.value, "weight": entry.weight}
            await unit.registry.insert(keys, {**row, **waits, "created_at": unit.now, "expires_at": entry.expires_at})
            await _put_limits(unit, entry.limits.over(SubjectKind.KEY, added[-1]))
    return added, known


async def _put_limits(unit: UnitOfWork, limits: Iterable[RateLimit]) -> None:
    """Limit a new key or account as the file does."""
    for limit in limits:
        await add_limit(unit, limit)


async def _difference(unit: UnitOfWork, deployment_id: str, entry: DeploymentEntry) -> tuple[str, ...] | None:
    """The columns in which the database differs from the entry; None for a deployment that is not there."""
    row = (await unit.connection.execute(select(deployments).where(deployments.c.id == deployment_id))).first()
    if row is None:
        return None
    if row.account != entry.account:
        raise Conflict(f"Deployment {deployment_id} belongs to another account in the database.")
    return tuple(name for name, value in columns_of(entry).items() if row._mapping[name] != value)
