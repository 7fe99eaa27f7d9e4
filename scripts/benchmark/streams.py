"""Reads many event streams at a time, measures how late each event comes, and checks each body to the byte.

`python -m scripts.benchmark.streams PLAN`, the plan as JSON, in a process of its own. It prints `open` once every
stream has had an event, and a Report as JSON in the end.
"""

import asyncio
import hashlib
import json
import sys
from array import array
from collections import Counter
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from time import monotonic, monotonic_ns
from typing import Any

from scripts.benchmark.backend import DONE
from scripts.benchmark.figures import Summary
from scripts.benchmark.wire import Broken, Wire, connect, post
from scripts.command.own_process import open_as_many_files_as_may_be, run_on_uvloop

_HASHED = b'data: {"sha256":"'


@dataclass(frozen=True)
class Plan:
    """`streams` at a time, begun over `ramp` seconds, of `events` every `interval` seconds; each `repeats` times."""

    port: int
    path: str
    key: str | None
    streams: int
    events: int
    interval: float
    ramp: float = 0.0
    repeats: int = 1


@dataclass(frozen=True)
class Report:
    """`delays` of events and times to the `first` byte in seconds; `errors` counts what went wrong by what it was."""

    whole: int
    events: int
    delays: Summary
    first: Summary
    errors: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> "Report":
        """From what the program printed last."""
        values: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
        return cls(
            values["whole"],
            values["events"],
            Summary(**values["delays"]),
            Summary(**values["first"]),
            values["errors"],
        )


class Events:
    """The body of one stream: takes it in pieces, notes how late each event is, and knows if it was whole."""

    def __init__(self, delays: "array[float]") -> None:
        self._delays = delays
        self._rest = b""
        self._seen = hashlib.sha256()
        self._hash_fits = False
        self.is_whole = False
        self.begun = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        now = monotonic_ns()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            self._take(event + b"\n\n", now)

    def _take(self, event: bytes, now: int) -> None:
        if self.is_whole:
            self.is_whole = False  # something after the end
        elif event == DONE:
            self.is_whole = self._hash_fits and not self._rest
        elif event.startswith(_HASHED):
            self._hash_fits = event == _HASHED + self._seen.hexdigest().encode() + b'"}\n\n'
        else:
            self._seen.update(event)
            _, found, written = event.rpartition(b'"t":')
            if found:
                self._delays.append((now - int(written[: written.index(b"}")])) / 1e9)
                self.begun.set()


class Reader:
    """Carries out a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        body = json.dumps({"stream": True, "events": plan.events, "interval": plan.interval}).encode()
        self._request = post(plan.path, body, plan.key)
        self._delays = array("d")
        self._first = array("d")
        self._errors: Counter[str] = Counter()
        self._whole = 0
        self._open = 0

    async def run(self) -> Report:
        """Read all streams."""
        plan = self._plan
        await asyncio.gather(*(self._guarded(self._read(plan.ramp * n / plan.streams)) for n in range(plan.streams)))
        delays, first = Summary.of(self._delays), Summary.of(self._first)
        return Report(self._whole, len(self._delays), delays, first, dict(self._errors))

    async def _guarded(self, reading: Coroutine[Any, Any, None]) -> None:
        try:
            await reading
        except (Broken, OSError) as error:
            self._errors[str(error)] += 1
            self._note_open()

    async def _read(self, pause: float) -> None:
        await asyncio.sleep(pause)
        wire = await connect(self._plan.port)
        for number in range(self._plan.repeats):
            await self._read_one(wire, counts=number == 0)
        wire.close()

    async def _read_one(self, wire: Wire, *, counts: bool) -> None:
        events = Events(self._delays)
        begun = monotonic()
        asking = asyncio.ensure_future(wire.ask(self._request, events.feed))
        if counts:
            beginning = asyncio.ensure_future(events.begun.wait())
            await asyncio.wait((asking, beginning), return_when=asyncio.FIRST_COMPLETED)
            beginning.cancel()
            self._note_open()
        status = await asking
        if status == 200 and events.is_whole:
            self._whole += 1
            self._first.append(wire.first_byte - begun)
        else:
            self._errors[f"status {status}" if status != 200 else "a body is not what was sent"] += 1

    def _note_open(self) -> None:
        self._open += 1
        if self._open == self._plan.streams:
            print("open", flush=True)


def main() -> None:
    """Carry out the plan of the command line."""
    open_as_many_files_as_may_be()
    reader = Reader(Plan(**json.loads(sys.argv[1])))
    print(json.dumps(asdict(run_on_uvloop(reader.run()))))


if __name__ == "__main__":
    main()
