"""What a configuration file says, as plain values: one process can send them to another, and serve by them."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.document import MAX_CHARS, SourceError, counted
from gateway.config.server_settings import Server
from gateway.core.account import Account, Key
from gateway.core.deployment import Deployment
from gateway.core.rate_limits import RateLimit, SubjectKind
from gateway.registry.base import Snapshot

if TYPE_CHECKING:
    from gateway.config.settings import Settings

_SQLITE = b"SQLite format 3\0"  # how every such file begins (sqlite.org/fileformat)


class FileContent(NamedTuple):
    """All that a gateway serves from a file that has its accounts inside."""

    server: Server = Server()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    limits: tuple[RateLimit, ...] = ()

    def snapshot(self) -> Snapshot:
        """The same, as requests look it up."""
        return Snapshot.of(self.keys, self.deployments, self.accounts, self.limits)

    def in_numbers(self) -> str:
        """How many accounts, keys and deployments there are, in words."""
        parts = ((self.accounts, "account"), (self.keys, "key"), (self.deployments, "deployment"))
        return ", ".join(counted(len(some), thing) for some, thing in parts)


class ReadFile(NamedTuple):
    """Such a file that was read: what it says, and by which bytes."""

    raw: bytes
    content: FileContent


class Configuration(NamedTuple):
    """What a gateway starts with: `cautions` are warnings; it serves from the database, or from what the file says."""

    server: Server
    database: str | None = None
    cautions: tuple[str, ...] = ()
    file: ReadFile | None = None


def read_bytes(path: Path) -> bytes:
    """The content of a regular file of acceptable size; a pipe would hang the reader. Raises SourceError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path}: is not a file")
        with path.open("rb") as file:
            content = file.read(MAX_CHARS + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    if content.startswith(_SQLITE):
        raise SourceError(f"{path}: is an SQLite database, no configuration; commands take it as --database {path}")
    if len(content) > MAX_CHARS:
        raise SourceError(f"{path}: is larger than {MAX_CHARS} bytes")
    return content


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
    accounts = (Account(name, owner.weight) for name, owner in settings.accounts.items())
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
