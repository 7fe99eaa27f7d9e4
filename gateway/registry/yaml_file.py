"""The registry that is one YAML file: read it, and keep reading it while it is edited."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.document import SourceError
from gateway.config.server_settings import Server
from gateway.core.file_signature import Signature, signature_of
from gateway.registry.base import Snapshot
from gateway.registry.file_content import FileContent, ReadFile, content_of, read_bytes
from gateway.registry.reloading import INTERVAL, WatchingRegistry, log

if TYPE_CHECKING:
    from gateway.config.settings import Settings

_READING = "gateway.registry.file_reading"  # which a gateway that starts has done by a child
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


class _Understood(NamedTuple):
    content: FileContent
    settings: "Settings | None"
    snapshot: Snapshot
    is_new: bool  # it says something else than before


class YamlRegistry(WatchingRegistry):
    """Serves what a YAML file says; an edit takes effect within a second.

    `content` is the newest that was valid, and `settings` the same as it was written; None as long as it is what
    somebody else has read `before`. An edit that is invalid, half-written, unreadable or gone changes nothing but
    `problem`.
    """

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str] | None = None,
        interval: float = INTERVAL,
        hosts: Sequence[str] = (),
        before: ReadFile | None = None,
    ) -> None:
        super().__init__(str(path), interval)
        self.content = FileContent()
        self.settings: Settings | None = None
        self._path = path
        self.source = f"file {path.absolute()}"
        self._environ = os.environ if environ is None else environ
        self._hosts = hosts
        self._signature: Signature | None = (0,)
        self._before = before
        self._raw: bytes | None = None
        self._started: Server | None = None
        self._told: list[str] = []

    async def look(self) -> None:
        """Read the file if it has changed since the last look, or cannot be used: the cause may lie outside of it."""
        signature = await asyncio.to_thread(signature_of, self._path)
        if signature == self._signature and self.problem is None and not _fresh(signature):
            return
        if self._started is not None and signature != self._signature:
            await asyncio.to_thread(import_module, _READING)  # while the file settles
            is_asked = await self.is_asked_within(_seconds_to_settle(signature))
            settled = await asyncio.to_thread(signature_of, self._path)
            if self.is_closing or (settled != signature and not is_asked):
                return
            signature = settled
        self._signature = signature
        raw = await asyncio.to_thread(read_bytes, self._path)
        if raw == self._raw and self.problem is None:
            return
        self._raw = raw
        self._take(await asyncio.to_thread(self._understand, raw))

    def _understand(self, raw: bytes) -> _Understood:
        """What the file says. It is compared with what was there in a thread, too: there may be very much of it."""
        settings = None
        if self._before is not None and self._before.raw == raw:
            content = self._before.content
        else:
            from gateway.registry.file_reading import settings_in

            settings = settings_in(raw, self._path, self._environ, self._hosts)
            if settings.database is not None:
                raise SourceError(f"{self._path}: the file names a database now; start the gateway again to use it")
            content = content_of(settings)
        self._before = None
        return _Understood(content, settings, content.snapshot().reusing(self.snapshot), content != self.content)

    def _take(self, found: _Understood) -> None:
        if self._started is None:
            self._started = found.content.server
        elif found.is_new or self.problem is not None:
            log.info("%s is in force: %s", self._path, found.content.in_numbers())
        self.content, self.settings = found.content, found.settings
        self._tell_what_waits(self._started, found.content.server)
        self.replace(found.snapshot)

    def _tell_what_waits(self, started: Server, server: Server) -> None:
        before, now = dict(_flat(asdict(started))), dict(_flat(asdict(server)))
        names = dict.fromkeys((*now, *before))  # a section that is left out has none
        waiting = [f"server.{name}" for name in names if now.get(name) != before.get(name) and name not in _LIVE]
        if waiting and waiting != self._told:
            log.warning("%s: %s will take effect at the next start", self._path, ", ".join(waiting))
        self._told = waiting


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
