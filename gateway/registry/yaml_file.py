"""The registry that is one YAML file: read it, and keep reading it while it is edited."""

import asyncio
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gateway.config.document import SourceError
from gateway.config.settings import Settings, parse
from gateway.config.validation_messages import counted
from gateway.config.yaml_reader import MAX_CHARS
from gateway.core.account import Account, Key
from gateway.core.deployment import Deployment
from gateway.core.file_signature import Signature, signature_of
from gateway.core.rate_limits import RateLimit, SubjectKind
from gateway.registry.base import Snapshot
from gateway.registry.reloading import INTERVAL, WatchingRegistry, log

_SQLITE = b"SQLite format 3\0"  # how every such file begins (sqlite.org/fileformat)
# Seconds for which a file must not have changed: who writes it in pieces may pause for half a second, and each of them
# may be valid. Together with the interval, less than the second within which an edit is in force.
_SETTLE = 0.6
_SHORTEST_SETTLE = 0.1  # seconds for which it is watched at least: the clock of its file system may be another
_FRESH_NS = 2_000_000_000  # a file this young can change again without its timestamps showing it
# Server settings that need no restart: they reach deployments through the snapshot.
_LIVE = (
    "timeouts.connect",
    "timeouts.first_byte",
    "timeouts.silence",
    "timeouts.queue",
    "limits.connections",
    "limits.waiting",
)


def read_settings(path: Path, environ: Mapping[str, str] | None = None, hosts: Sequence[str] = ()) -> Settings:
    """The settings of a configuration file. Raises SourceError with every error in it.

    It is read as for a gateway that listens on `hosts`, if they are given.
    """
    return _parse(path, _read(path), environ, hosts)


def snapshot_of(settings: Settings) -> Snapshot:
    """What a configuration with its accounts inside says. A key's id is `account/name`."""
    deployments = (
        Deployment(
            id=name,
            account=entry.account,
            upstream=entry.upstream,
            upstream_key=entry.upstream_key,
            status=entry.status,
            timeouts=entry.timeouts.over(settings.server.timeouts),
            limits=entry.limits.over(settings.server.limits),
            ping=entry.ping,
            ca_file=entry.ca_file,
            endpoints=entry.endpoints,
        )
        for name, entry in settings.deployments.items()
    )
    accounts = (Account(name, weight=owner.weight) for name, owner in settings.accounts.items())
    return replace(
        Snapshot.of(_keys(settings), deployments, accounts),
        limits=MappingProxyType({limit.id: limit for limit in _limits(settings)}),
    )


def content_of(settings: Settings) -> str:
    """How many accounts, keys and deployments there are, in words."""
    keys = sum(len(account.keys) for account in settings.accounts.values())
    content = ((len(settings.accounts), "account"), (keys, "key"), (len(settings.deployments), "deployment"))
    return ", ".join(counted(number, thing) for number, thing in content)


class _Understood(NamedTuple):
    settings: Settings
    snapshot: Snapshot
    is_new: bool  # the settings are others than before


class YamlRegistry(WatchingRegistry):
    """Serves what a YAML file says; an edit takes effect within a second.

    `settings` is the newest valid content. An edit that is invalid, half-written, unreadable or gone changes
    nothing but `problem`.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str] | None = None,
        interval: float = INTERVAL,
        hosts: Sequence[str] = (),
    ) -> None:
        super().__init__(str(path), interval)
        self.settings = Settings()
        self._path = path
        self.source = f"file {path.absolute()}"
        self._environ = os.environ if environ is None else environ
        self._hosts = hosts
        self._signature: Signature | None = (0,)
        self._content: bytes | None = None
        self._started: Settings | None = None
        self._told: list[str] = []

    async def look(self) -> None:
        """Read the file if it has changed since the last look, or cannot be used: the cause may lie outside of it."""
        signature = await asyncio.to_thread(signature_of, self._path)
        if signature == self._signature and self.problem is None and not _fresh(signature):
            return
        if self._started is not None and signature != self._signature:
            is_told = await self.is_told_within(_seconds_to_settle(signature))
            settled = await asyncio.to_thread(signature_of, self._path)
            if self.is_closing or (settled != signature and not is_told):
                return
            signature = settled
        self._signature = signature
        content = await asyncio.to_thread(_read, self._path)
        if content == self._content and self.problem is None:
            return
        self._content = content
        self._take(await asyncio.to_thread(self._understand, content))

    def _understand(self, content: bytes) -> "_Understood":
        """What the content says. It is compared with what was there in a thread, too: there may be very much of it."""
        settings = _parse(self._path, content, self._environ, self._hosts)
        if settings.database is not None:
            raise SourceError(f"{self._path}: the file names a database now; start the gateway again to use it")
        return _Understood(settings, snapshot_of(settings).reusing(self.snapshot), settings != self.settings)

    def _take(self, found: "_Understood") -> None:
        settings = found.settings
        if self._started is None:
            self._started = settings
        elif found.is_new or self.problem is not None:
            log.info("%s is in force: %s", self._path, content_of(settings))
        self.settings = settings
        self._tell_what_waits(self._started, settings)
        self.replace(found.snapshot)

    def _tell_what_waits(self, started: Settings, settings: Settings) -> None:
        before, now = dict(_flat(started.server.model_dump())), dict(_flat(settings.server.model_dump()))
        names = dict.fromkeys((*now, *before))  # a section that is left out has none
        waiting = [f"server.{name}" for name in names if now.get(name) != before.get(name) and name not in _LIVE]
        if waiting and waiting != self._told:
            log.warning("%s: %s will take effect at the next start", self._path, ", ".join(waiting))
        self._told = waiting


def _keys(settings: Settings) -> Iterator[Key]:
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


def _limits(settings: Settings) -> Iterator[RateLimit]:
    for account, owner in settings.accounts.items():
        yield from owner.limits.over(SubjectKind.ACCOUNT, account)
        for entry in owner.keys:
            yield from entry.limits.over(SubjectKind.KEY, f"{account}/{entry.name}")


def _parse(path: Path, content: bytes, environ: Mapping[str, str] | None, hosts: Sequence[str]) -> Settings:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{line}: the file is not UTF-8") from error
    return parse(text, str(path), os.environ if environ is None else environ, path.parent, hosts)


def _read(path: Path) -> bytes:
    """The content of a regular file of acceptable size; a pipe or a device would hang the reader."""
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


def _seconds_to_settle(signature: Signature | None) -> float:
    """How long to wait until a file with this signature has not changed for long enough."""
    if signature is None:
        return _SETTLE
    unchanged = (time.time_ns() - max(signature[-2:])) / 1e9
    return _SETTLE if unchanged < 0 else max(_SETTLE - unchanged, _SHORTEST_SETTLE)


def _fresh(signature: Signature | None) -> bool:
    return signature is not None and time.time_ns() - max(signature[-2:]) < _FRESH_NS


def _flat(section: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
