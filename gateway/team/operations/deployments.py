"""What is done with deployments."""

from typing import Any

from pydantic import SecretStr, ValidationError
from sqlalchemy import select
from sqlalchemy.engine import Row

from gateway.config.settings import DeploymentEntry
from gateway.config.validation_messages import sentences, suggested
from gateway.core.deployment import Status
from gateway.core.endpoints import DEFAULT_GROUPS
from gateway.registry.database.tables import deployments
from gateway.team.models.common import Page
from gateway.team.models.deployments import (
    Deployment,
    DeploymentChange,
    DeploymentQuery,
    LimitsShown,
    NewDeployment,
    TimeoutsShown,
)
from gateway.team.operation_error import Conflict, FieldError, Invalid, NotFound
from gateway.team.operations.accounts import reachable, require_accounts
from gateway.team.operations.search import has_text
from gateway.team.operations.traffic.limits import drop_limits
from gateway.team.paging import page_of
from gateway.team.roles import Reach
from gateway.team.unit_of_work import UnitOfWork


async def list_deployments(unit: UnitOfWork, query: DeploymentQuery) -> Page[Deployment]:
    """Those within the actor's reach, by id."""
    selected = select(deployments).where(*reachable(unit, "deployments.list", deployments.c.account))
    if query.account is not None:
        selected = selected.where(deployments.c.account == query.account)
    if query.search is not None:
        selected = selected.where(has_text(query.search, deployments.c.id))
    return await page_of(unit.connection, query, selected, [deployments.c.id], lambda row: _view(unit, row))


async def get_deployment(unit: UnitOfWork, deployment_id: str) -> Deployment:
    """One deployment. Raises NotFound."""
    return _view(unit, await _row(unit, "deployments.get", deployment_id))


async def create_deployment(unit: UnitOfWork, new: NewDeployment) -> Deployment:
    """A new deployment. Raises Invalid for an account that is not there, and Conflict for an id that is."""
    there = await unit.connection.execute(select(deployments.c.id).where(deployments.c.id == new.id))
    if there.first() is not None:
        raise Conflict(f"There is a deployment {new.id} already.")
    await require_accounts(unit, [new.account])
    row = {"id": new.id, **columns_of(new), "created_at": unit.now, "updated_at": unit.now}
    await unit.registry.insert(deployments, row)
    made = await get_deployment(unit, new.id)
    await unit.note("deployments.create", made.id, account=made.account, after=made.model_dump(mode="json"))
    return made


async def change_deployment(unit: UnitOfWork, deployment_id: str, change: DeploymentChange) -> Deployment:
    """Make it different in what is named; answers under way end as they began. Raises NotFound, Invalid, Stale."""
    row = await _row(unit, "deployments.change", deployment_id)
    before = _view(unit, row)
    unit.check_version(before.version)
    wanted = columns_of(_entry_after(row, change))
    if wanted["account"] != before.account:
        await require_accounts(unit, [str(wanted["account"])])
    changed = {name: value for name, value in wanted.items() if row._mapping[name] != value}
    return await _put(unit, "deployments.change", before, changed)


async def pause_deployment(unit: UnitOfWork, deployment_id: str) -> Deployment:
    """Answer 503 (paused) until it is resumed; answers under way are finished."""
    return await _set_status(unit, "deployments.pause", deployment_id, Status.PAUSED)


async def resume_deployment(unit: UnitOfWork, deployment_id: str) -> Deployment:
    """Let its probes decide again whether it is ready."""
    return await _set_status(unit, "deployments.resume", deployment_id, Status.AUTO)


async def remove_deployment(unit: UnitOfWork, deployment_id: str) -> Deployment:
    """Forget it; answers under way are finished."""
    before = _view(unit, await _row(unit, "deployments.remove", deployment_id))
    unit.check_version(before.version)
    await drop_limits(unit, deployment=deployment_id)
    await unit.registry.delete(deployments, deployment_id)
    await unit.note("deployments.remove", before.id, account=before.account, before=before.model_dump(mode="json"))
    return before


def columns_of(entry: DeploymentEntry) -> dict[str, object]:
    """The values of a row's columns. NULL, for most, is the server's default."""
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


async def _set_status(unit: UnitOfWork, action: str, deployment_id: str, status: Status) -> Deployment:
    before = _view(unit, await _row(unit, action, deployment_id))
    unit.check_version(before.version)
    return await _put(unit, action, before, {"status": status.value} if status is not before.status else {})


async def _put(unit: UnitOfWork, action: str, before: Deployment, changed: dict[str, Any]) -> Deployment:
    """Change these columns. Nothing is noted where nothing is different."""
    if not changed:
        return before
    values = {**changed, "updated_at": unit.now, "version": deployments.c.version + 1}
    await unit.registry.update(deployments, before.id, values)
    after = _view(unit, await _row(unit, "deployments.get", before.id))
    secret = {"upstream_key": "(changed)"} if "upstream_key" in changed else {}
    await unit.note(
        action,
        after.id,
        account=after.account,
        before=before.model_dump(mode="json"),
        after={**after.model_dump(mode="json"), **secret},
    )
    return after


def _entry_after(row: Row[Any], change: DeploymentChange) -> DeploymentEntry:
    """The deployment as it will be. Raises Invalid."""
    stored = row._mapping
    nested = {"timeouts": tuple(TimeoutsShown.model_fields), "limits": tuple(LimitsShown.model_fields)}
    plain = ("account", "upstream", "upstream_key", "status", "ping", "ca_file")
    values: dict[str, Any] = {name: stored[name] for name in plain if stored[name] is not None}
    if stored["endpoints"] is not None:
        values["endpoints"] = stored["endpoints"].split(",")
    for section, names in nested.items():
        named = getattr(change, section).model_dump(exclude_unset=True)
        values[section] = {name: stored[name] for name in names} | named
    for name in change.model_fields_set - nested.keys():
        value = getattr(change, name)
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    try:
        return DeploymentEntry.model_validate(values)
    except ValidationError as error:
        errors = [FieldError(".".join(map(str, path)), text) for path, text in sentences(error, DeploymentEntry)]
        raise Invalid(errors=errors) from error


async def _row(unit: UnitOfWork, action: str, deployment_id: str) -> Row[Any]:
    row = (await unit.connection.execute(select(deployments).where(deployments.c.id == deployment_id))).first()
    if row is None or not unit.actor.sees_account(action, row._mapping["account"]):
        within = reachable(unit, action, deployments.c.account)
        known = (await unit.connection.execute(select(deployments.c.id).where(*within))).scalars()
        raise NotFound(f"There is no deployment {deployment_id!r}{suggested(deployment_id, known) or '.'}")
    return row


def _view(unit: UnitOfWork, row: Row[Any]) -> Deployment:
    stored = row._mapping
    is_admins = unit.actor.reach("deployments.get") is Reach.EVERYTHING
    return Deployment(
        id=stored["id"],
        account=stored["account"],
        upstream=stored["upstream"] if is_admins else None,
        has_upstream_key=stored["upstream_key"] is not None,
        status=Status(stored["status"]),
        timeouts=TimeoutsShown(**{name: stored[name] for name in TimeoutsShown.model_fields}),
        limits=LimitsShown(**{name: stored[name] for name in LimitsShown.model_fields}),
        ping=stored["ping"],
        ca_file=stored["ca_file"] if is_admins else None,
        endpoints=DEFAULT_GROUPS if stored["endpoints"] is None else tuple(stored["endpoints"].split(",")),
        created_at=stored["created_at"],
        updated_at=stored["updated_at"],
        version=stored["version"],
    )
