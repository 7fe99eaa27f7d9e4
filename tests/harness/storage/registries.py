"""The two registries behind one set of tools, so that one suite can be run against both."""

import abc
import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.settings import DeploymentEntry
from gateway.core.deployment import Status
from gateway.core.secret_text import digest_of
from gateway.registry.base import Registry
from gateway.registry.database.database_registry import SqlRegistry
from gateway.registry.yaml_file import YamlRegistry
from tests.harness.patience import PATIENCE
from tests.harness.storage.changes import changing


class Source(abc.ABC):
    """Where a registry reads from, and the hand that changes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abc.abstractmethod
    def registry(self) -> Registry:
        """A registry of this source, not yet open."""

    @abc.abstractmethod
    async def add_key(self, account: str, name: str, expires_at: datetime | None = None) -> str:
        """Add a key and return its text."""

    @abc.abstractmethod
    async def end_key(self, text: str) -> None:
        """Make a key useless: revoke it, or take it out."""

    @abc.abstractmethod
    async def add_deployment(self, deployment_id: str, account: str, status: Status = Status.AUTO) -> None:
        """Add a deployment."""

    @abc.abstractmethod
    async def remove_deployment(self, deployment_id: str) -> None:
        """Remove a deployment."""

    @abc.abstractmethod
    async def spoil(self) -> None:
        """Make the source unusable."""

    @abc.abstractmethod
    async def mend(self) -> None:
        """Make it usable again, as it was."""


class YamlSource(Source):
    """A YAML file, replaced in one step at every change."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "gateway.yaml"
        self.accounts: dict[str, dict[str, list[dict[str, str]]]] = {}
        self.deployments: dict[str, dict[str, str]] = {}
        self._write()

    def registry(self) -> Registry:
        return YamlRegistry(self.path, {})

    async def add_key(self, account: str, name: str, expires_at: datetime | None = None) -> str:
        text = f"gw_{account}_{name}_{len(self.accounts)}_0123456789"
        entry = {"name": name, "key": text}
        if expires_at is not None:
            entry["expires_at"] = expires_at.isoformat()
        self.accounts.setdefault(account, {"keys": []})["keys"].append(entry)
        self._write()
        return text

    async def end_key(self, text: str) -> None:
        for account in self.accounts.values():
            account["keys"] = [entry for entry in account["keys"] if entry["key"] != text]
        self._write()

    async def add_deployment(self, deployment_id: str, account: str, status: Status = Status.AUTO) -> None:
        self.accounts.setdefault(account, {"keys": []})
        self.deployments[deployment_id] = {"account": account, "upstream": "http://127.0.0.1:9931", "status": status}
        self._write()

    async def remove_deployment(self, deployment_id: str) -> None:
        del self.deployments[deployment_id]
        self._write()

    async def spoil(self) -> None:
        self.path.write_text("accounts: {acme: [")

    async def mend(self) -> None:
        self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"accounts": self.accounts, "deployments": self.deployments}))
        fresh.replace(self.path)


class SqlSource(Source):
    """An SQLite file, changed as the command line does it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "gateway.db"
        self.place = str(self.path)
        self.ids: dict[str, str] = {}

    def registry(self) -> Registry:
        return SqlRegistry(self.place)

    async def add_key(self, account: str, name: str, expires_at: datetime | None = None) -> str:
        past = expires_at is not None and expires_at <= datetime.now(UTC)
        async with changing(self.place, create=True) as change:
            key, text = await change.create_key(account, name, None if past else expires_at, create_account=True)
        self.ids[text] = key.id
        if past and expires_at is not None:
            # No command makes a key that has ended; time does.
            await self.end_at(key.id, expires_at)
        return text

    async def end_at(self, key_id: str, moment: datetime) -> None:
        """Let a key have expired."""
        with sqlite3.connect(self.path) as database:
            values = [moment.strftime("%Y-%m-%d %H:%M:%S.%f"), key_id]
            database.execute("UPDATE keys SET expires_at = ? WHERE id = ?", values)
        database.close()

    async def end_key(self, text: str) -> None:
        async with changing(self.place) as change:
            await change.revoke_key(self.ids[text])

    async def add_deployment(self, deployment_id: str, account: str, status: Status = Status.AUTO) -> None:
        entry = DeploymentEntry(account=account, upstream="http://127.0.0.1:9931", status=status)
        async with changing(self.place, create=True) as change:
            await change.add_deployment(deployment_id, entry, create_account=True)

    async def remove_deployment(self, deployment_id: str) -> None:
        async with changing(self.place) as change:
            await change.remove_deployment(deployment_id)

    async def spoil(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    async def mend(self) -> None:
        self.path.with_suffix(".away").rename(self.path)


@asynccontextmanager
async def opened(registry: Registry) -> AsyncIterator[Registry]:
    """The registry, open."""
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def in_force(registry: Registry, change: Awaitable[object], holds: Callable[[], bool]) -> None:
    """Make a change and wait until `holds`; a TimeoutError if that takes longer than the registry promises."""
    told = asyncio.Event()
    registry.listeners.append(told.set)
    await change
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                told.clear()
                await told.wait()
    finally:
        registry.listeners.remove(told.set)


def accepts(registry: Registry, text: str, account: str | None = None) -> bool:
    """Whether a key opens its account (this one, if named) now."""
    key = registry.snapshot.key(digest_of(text), datetime.now(UTC))
    return key is not None and account in {None, key.account}
