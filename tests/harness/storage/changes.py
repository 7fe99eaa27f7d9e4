"""A database as tests change it: the team's operations, as the command line asks for them, each by a short name."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.cli.client.local_client import LocalClient, open_database
from gateway.cli.registry.deployment_changes import change_of
from gateway.config.settings import DeploymentEntry, Settings
from gateway.core.deployment import Status
from gateway.registry.base import ChangeError
from gateway.team.import_settings import Imported
from gateway.team.models.accounts import Account, NewAccount, RemovedAccount
from gateway.team.models.deployments import DeploymentChange, NewDeployment
from gateway.team.models.keys import Key, KeyRevocation, KeyRotation, NewKey, RotatedKey
from gateway.team.operations.keys import get_key


class Changes:
    """Every method is one transaction: when it returns, the change is on disk; when it raises, there is none.

    All raise ChangeError for an impossible change, SourceError for a database that fails.
    """

    def __init__(self, client: LocalClient) -> None:
        self.client = client

    @property
    def engine(self) -> AsyncEngine:
        """Through which it writes."""
        return self.client.database._writing

    async def add_account(self, name: str) -> Account:
        made: Account = await self._perform("accounts.create", request=_asked(NewAccount, id=name))
        return made

    async def remove_account(self, name: str) -> RemovedAccount:
        removed: RemovedAccount = await self._perform("accounts.remove", name)
        return removed

    async def create_key(
        self, account: str, name: str, expires_at: datetime | None = None, *, create_account: bool = False
    ) -> tuple[Key, str]:
        """A new key, and its text."""
        new = _asked(NewKey, account=account, name=name, expires_at=expires_at)
        made = await self._perform("keys.create", request=new, make_account=account if create_account else None)
        return made, made.key

    async def revoke_key(self, key_id: str) -> Key:
        key: Key = await self._perform("keys.revoke", key_id, request=KeyRevocation())
        return key

    async def rotate_key(self, key_id: str, grace: timedelta = timedelta(hours=24)) -> tuple[RotatedKey, str, Key]:
        """The successor, its text, and the old key."""
        rotation = KeyRotation(grace_seconds=grace)
        made: RotatedKey = await self._perform("keys.rotate", key_id, request=rotation)
        async with self.client.database.read(self.client.actor) as unit:
            return made, made.key, await get_key(unit, key_id)

    async def add_deployment(self, deployment_id: str, entry: DeploymentEntry, *, create_account: bool = False) -> None:
        new = _asked(NewDeployment, id=deployment_id, **entry.model_dump())
        account = entry.account if create_account else None
        await self._perform("deployments.create", request=new, make_account=account)

    async def update_deployment(
        self, deployment_id: str, entry: DeploymentEntry, names: Collection[str], *, create_account: bool = False
    ) -> None:
        """Make a deployment what the entry says, in the settings of these names and in no others."""
        values = _flat(entry)
        given = {name: values[name] for name in names if values[name] is not None}
        account = entry.account if create_account and "account" in names else None
        await self._change(deployment_id, change_of(given, set(names) - given.keys()), account)

    async def set_status(self, deployment_id: str, status: Status) -> None:
        await self._change(deployment_id, DeploymentChange(status=status))

    async def remove_deployment(self, deployment_id: str) -> None:
        await self._perform("deployments.remove", deployment_id)

    async def import_settings(self, settings: Settings, *, overwrite: bool = False) -> Imported:
        return await self.client.import_settings(settings, "gw.yaml", overwrite=overwrite)

    async def _change(self, deployment_id: str, request: DeploymentChange, account: str | None = None) -> None:
        await self._perform("deployments.change", deployment_id, request=request, make_account=account)

    async def _perform(
        self, name: str, *ids: str, request: BaseModel | None = None, make_account: str | None = None
    ) -> Any:
        return await self.client.perform(name, *ids, request=request, make_account=make_account)


@asynccontextmanager
async def changing(place: str | Path, *, create: bool = False) -> AsyncIterator[Changes]:
    """Open a database for changes, migrating it first. With `create`, an SQLite file that is missing is made."""
    async with open_database(place, create=create) as client:
        yield Changes(client)


def _asked(model: type[BaseModel], **values: object) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ChangeError(f"Invalid {error.errors()[0]['loc'][0]}") from error


def _flat(entry: DeploymentEntry) -> Mapping[str, Any]:
    return {**entry.model_dump(), **entry.timeouts.model_dump(), **entry.limits.model_dump()}
