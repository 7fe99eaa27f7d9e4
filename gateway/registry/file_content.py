"""What a configuration file says that has its accounts inside, as plain values. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.document import counted
from gateway.config.server_settings import Server
from gateway.core.account import Account, Key
from gateway.core.deployment import Deployment
from gateway.core.rate_limits import RateLimit, SubjectKind
from gateway.registry.base import Snapshot

if TYPE_CHECKING:
    from gateway.config.settings import Settings


class FileContent(NamedTuple):
    """All that a gateway serves from such a file. It can be sent from one process to another, as a Snapshot cannot."""

    server: Server = Server()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    limits: tuple[RateLimit, ...] = ()

    def snapshot(self) -> Snapshot:
        """The same, as requests look it up."""
        return replace(
            Snapshot.of(self.keys, self.deployments, self.accounts),
            limits=MappingProxyType({limit.id: limit for limit in self.limits}),
        )

    def in_numbers(self) -> str:
        """How many accounts, keys and deployments there are, in words."""
        parts = ((self.accounts, "account"), (self.keys, "key"), (self.deployments, "deployment"))
        return ", ".join(counted(len(some), thing) for some, thing in parts)


def content_of(settings: "Settings") -> FileContent:
    """What a configuration with its accounts inside says. A key's id is `account/name`."""
    server = settings.server
    deployments = (
        Deployment(
            id=name,
            account=entry.account,
            upstream=entry.upstream,
            upstream_key=entry.upstream_key,
            status=entry.status,
            timeouts=entry.timeouts.over(server.timeouts),
            limits=entry.limits.over(server.limits),
            ping=entry.ping,
            ca_file=entry.ca_file,
            endpoints=entry.endpoints,
        )
        for name, entry in settings.deployments.items()
    )
    accounts = (Account(name, weight=owner.weight) for name, owner in settings.accounts.items())
    return FileContent(server, tuple(accounts), tuple(_keys(settings)), tuple(deployments), tuple(_limits(settings)))


def _keys(settings: "Settings") -> Iterator[Key]:
    for account, owner in settings.accounts.items():
        for entry in owner.keys:
            yield Key(
                f"{account}/{entry.name}",
                entry.name,
                account,
                entry.digest,
                entry.expires_at,
                priority=entry.priority,
                weight=entry.weight,
            )


def _limits(settings: "Settings") -> Iterator[RateLimit]:
    for account, owner in settings.accounts.items():
        yield from owner.limits.over(SubjectKind.ACCOUNT, account)
        for entry in owner.keys:
            yield from entry.limits.over(SubjectKind.KEY, f"{account}/{entry.name}")
