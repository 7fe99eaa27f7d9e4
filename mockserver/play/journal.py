"""The journal: what the mock received, and how each exchange ended."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from mockserver.core.clock import Clock, NotInTime
from mockserver.play.secrets import masked_headers, masked_query


class ExchangeEnd(StrEnum):
    """How an exchange ended: answered in full, left by the client, or cut by the mock itself."""

    RUNNING = "running"
    FINISHED = "finished"
    ABORTED = "aborted"
    CUT = "cut"


EndName = ExchangeEnd | Literal["running", "finished", "aborted", "cut"]
"""An ending, or its name: type checkers and editors know which there are."""


@dataclass(slots=True, repr=False)
class JournalEntry:
    """One request and what became of it. `received_at` is Unix time; `after_ms` counts from there."""

    id: int
    method: str
    path: str
    headers: list[tuple[str, str]]
    clock: Clock
    body: bytes = b""
    body_bytes: int = 0
    status: int | None = None
    ended: ExchangeEnd = ExchangeEnd.RUNNING
    after_ms: float | None = None
    bytes_sent: int = 0
    fault: str | None = None
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    answer: bytearray = field(default_factory=bytearray)
    first_byte_ms: float | None = None
    received_at: float = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self.received_at, self._started = self.clock.epoch(), self.clock.now()

    def elapsed_ms(self) -> float:
        """Milliseconds since it was received."""
        return round((self.clock.now() - self._started) * 1000, 1)

    def close(self, ended: ExchangeEnd, bytes_sent: int = 0) -> None:
        """Close the record; of several endings the first counts, and the last number of bytes."""
        self.bytes_sent = bytes_sent
        if self.ended is ExchangeEnd.RUNNING:
            self.ended = ended
            self.after_ms = self.elapsed_ms()

    @property
    def how(self) -> str:
        """The ending in words: `finished`, `client left after 120 ms`, `cut by the mock after 80 ms`."""
        phrase = {ExchangeEnd.ABORTED: "client left", ExchangeEnd.CUT: "cut by the mock"}.get(self.ended)
        return f"{phrase} after {self.after_ms:.0f} ms" if phrase else str(self.ended)

    def __repr__(self) -> str:
        """Short, for failure messages; and no headers, where keys are."""
        status = "" if self.status is None else f" -> {self.status}"
        fault = "" if self.fault is None else f", fault {self.fault}"
        return f"<#{self.id} {self.method} {self.path}, {self.body_bytes} B{status}, {self.how}{fault}>"

    def json(self) -> Any:
        """The body as JSON. Raises ValueError if it is none, or was too long to be kept whole."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of a header, in whatever case it was sent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def as_json(self) -> dict[str, Any]:
        """The record as the control API shows it; a body that is not UTF-8 has replacement characters."""
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path,
            "headers": [list(pair) for pair in self.headers],
            "body": self.body.decode("utf-8", "replace"),
            "body_bytes": self.body_bytes,
            "received_at": self.received_at,
            "status": self.status,
            "ended": self.ended.value,
            "how": self.how,
            "after_ms": self.after_ms,
            "bytes_sent": self.bytes_sent,
            "fault": self.fault,
        }


def listing(name: str, entries: list[JournalEntry]) -> str:
    """What `name` received, for people: a line a request."""
    lines = [f"  {entry!r}" for entry in entries]
    return "\n".join([f"{name} received {len(lines) or 'no'} request(s){':' if lines else '.'}", *lines])


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """Which exchanges are meant; `None` means any. `path` matches without its query. `probes`: with `/health` and
    `/props`, too.

    Raises ValueError for an ending that there is not.
    """

    ended: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    after: int = 0
    probes: bool = True

    def __post_init__(self) -> None:
        if self.ended is not None and self.ended not in list(ExchangeEnd):
            raise ValueError(f"'ended' is one of {', '.join(ExchangeEnd)}; got {self.ended!r}")

    def __str__(self) -> str:
        named = (("ended", self.ended), ("method", self.method), ("path", self.path), ("status", self.status))
        wanted = [f"{name}={value!r}" for name, value in named if value is not None]
        return " with " + ", ".join(wanted) if wanted else ""

    def __call__(self, entry: JournalEntry) -> bool:
        return (
            entry.id > self.after
            and self.ended in (None, entry.ended.value)
            and self.method in (None, entry.method)
            and self.path in (None, entry.path.partition("?")[0])
            and self.status in (None, entry.status)
            and (self.probes or entry.path not in {"/health", "/props"})
        )


class Journal:
    """The last exchanges, oldest first; waits for those to come.

    Keeps at most `limit` of them, `body_limit` bytes of each body (the rest is counted only), `bodies_limit` of all.
    Keys and cookies are masked as they come, unless `secrets` are wanted.
    """

    def __init__(
        self,
        limit: int = 1000,
        body_limit: int = 1024 * 1024,
        bodies_limit: int = 64 * 1024 * 1024,
        clock: Clock | None = None,
        *,
        secrets: bool = False,
    ) -> None:
        self._body_limit, self._bodies_limit, self._clock = body_limit, bodies_limit, clock or Clock()
        self._secrets = secrets
        self._entries: deque[JournalEntry] = deque(maxlen=limit)
        self._with_bodies: dict[int, JournalEntry] = {}
        self._kept_bytes = 0
        self._last_id = 0
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(list(self._entries))

    def open_entry(self, method: str, path: str, headers: list[tuple[str, str]]) -> JournalEntry:
        """Open a record."""
        self._last_id += 1
        if len(self._entries) == self._entries.maxlen:
            self._drop_bodies(self._entries[0])
        if not self._secrets:
            path, headers = masked_query(path), masked_headers(headers)
        entry = JournalEntry(self._last_id, method, path, headers, self._clock)
        self._entries.append(entry)
        self.notify()
        return entry

    def record_request_body(self, entry: JournalEntry, body: bytes) -> None:
        """Remember a request's body; the oldest bodies make room for it."""
        entry.body, entry.body_bytes = body[: self._body_limit], len(body)
        self._make_room(entry, len(entry.body))

    def record_response_chunk(self, entry: JournalEntry, chunk: bytes) -> None:
        """Remember a further piece of an answer's body; the oldest bodies make room for it."""
        if entry.first_byte_ms is None:
            entry.first_byte_ms = entry.elapsed_ms()
        kept = chunk[: max(0, self._body_limit - len(entry.answer))]
        entry.answer += kept
        self._make_room(entry, len(kept))

    def _make_room(self, entry: JournalEntry, size: int) -> None:
        if not size:
            return
        if entry.id not in self._with_bodies:
            self._with_bodies[entry.id] = entry
        self._kept_bytes += size
        while self._kept_bytes > self._bodies_limit and self._with_bodies:
            self._drop_bodies(next(iter(self._with_bodies.values())))

    def _drop_bodies(self, entry: JournalEntry) -> None:
        """Forget the bodies of an exchange."""
        if self._with_bodies.pop(entry.id, None) is not None:
            self._kept_bytes -= len(entry.body) + len(entry.answer)
            entry.body, entry.answer = b"", bytearray()

    def notify(self) -> None:
        """Wake all waiting tasks: an entry was opened, closed or dropped."""
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget everything; ids go on counting."""
        self._entries.clear()
        self._with_bodies.clear()
        self._kept_bytes = 0
        self.notify()

    def matching(self, matches: JournalFilter) -> list[JournalEntry]:
        """The exchanges that match, oldest first."""
        return [entry for entry in self._entries if matches(entry)]

    async def wait(self, matches: JournalFilter, count: int = 1, timeout: float = 5.0) -> list[JournalEntry]:
        """Return once `count` exchanges match. Raises NotInTime, which lists what was received."""
        try:
            async with asyncio.timeout(timeout):
                while len(found := self.matching(matches)) < count:
                    await self._changed.wait()
        except TimeoutError:
            message = f"fewer than {count} request(s){matches} in {timeout:g} s."
            raise NotInTime(f"{message}\n{listing('the mock', list(self))}") from None
        return found
