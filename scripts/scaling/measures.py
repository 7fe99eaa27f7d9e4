"""What is measured with very many deployments and keys. Seconds, bytes and shares of a core, by figure and size."""

import asyncio
import http.client
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gateway.cli.client.local_client import LocalClient, open_database
from gateway.team.models.keys import CreatedKey, NewKey
from scripts.benchmark.measures import Cores
from scripts.benchmark.neighbours import Wrong, ask
from scripts.benchmark.process import Process, StartError
from scripts.benchmark.targets import Target
from scripts.scaling.client import asking
from scripts.scaling.population import Population

_PLAIN = "/v1/embeddings"
_POLL_SECONDS = 0.01
_PATIENCE = 120.0

# figure: its words, its unit, what a value in seconds or bytes is multiplied with
FIGURES: Mapping[str, tuple[str, str, float]] = {
    "start": ("start to first answered request", "s", 1),
    "memory": ("memory, idle", "MB", 1e-6),
    "idle_cpu": ("share of a core, idle: probes", "%", 100),
    "calm": ("a client's wait, nothing else going on", "ms", 1e3),
    "scrape_cpu": ("CPU of a scrape", "ms", 1e3),
    "scrape": ("a client's wait, a scrape every second", "ms", 1e3),
    "viewers_cpu": ("share of a core, 100 viewers", "%", 100),
    "viewers": ("a client's wait, 100 viewers", "ms", 1e3),
    "many_viewers": ("a client's wait, 500 viewers", "ms", 1e3),
    "change_cpu": ("CPU of a change in the database", "ms", 1e3),
    "change_in_force": ("until it is in force", "s", 1),
    "change": ("a client's wait, changes in the database", "ms", 1e3),
    "all": ("a client's wait, all of it: 100 viewers, a scrape every 5 s, changes", "ms", 1e3),
    "edit_in_force": ("until an edit of a YAML file is in force", "s", 1),
    "edit_cpu": ("CPU of an edit of a YAML file", "ms", 1e3),
    "edit": ("a client's wait, edits of a YAML file", "ms", 1e3),
}


@dataclass(frozen=True)
class Amount:
    """How much of everything: seconds, and times."""

    sizes: tuple[int, ...]
    keys: int
    seconds: float
    viewers: tuple[int, int]
    changes: int


FULL = Amount(sizes=(100, 1_000, 10_000), keys=100_000, seconds=15, viewers=(100, 500), changes=5)
QUICK = Amount(sizes=(100, 1_000), keys=100_000, seconds=4, viewers=(100, 500), changes=2)


@dataclass
class ScaleBench:
    """`values[figure][size]`: one number; of a client's wait three, its median, its 99th percentile and its worst."""

    amount: Amount
    folder: Path
    cores: Cores
    say: Callable[[str], None]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def database(self, backend: Target, size: int) -> None:
        """Everything with so many deployments, and all keys, in an SQLite file."""
        home = Population(self.folder / f"database-{size}", backend, size, self.amount.keys)
        self._told(size, "filling a database")
        home.in_database()
        with home.gateway(self.cores.measured) as target:
            self._note("start", size, _first_answer(target) - target.measured.started)
            self._told(size, "idle")
            time.sleep(2)
            with self._cpu_of(target) as used:
                time.sleep(self.amount.seconds)
            self._note("idle_cpu", size, used[0] / self.amount.seconds)
            self._note("memory", size, target.measured.memory())
            self._ask_all(target, home)
            with self._waits(target, "calm", size):
                time.sleep(self.amount.seconds)
            idle = used[0] / self.amount.seconds
            self._scrapes(target, size, idle)
            few, many = self.amount.viewers
            self._viewed(target, size, few, "viewers")
            self._viewed(target, size, many, "many_viewers")
            asyncio.run(self._changes(target, home, size, idle))
            asyncio.run(self._all_of_it(target, home, size))

    def yaml(self, backend: Target, size: int) -> None:
        """Edits of a YAML file with so many deployments."""
        home = Population(self.folder / f"yaml-{size}", backend, size, 0)
        home.in_yaml()
        with home.gateway(self.cores.measured) as target:
            _first_answer(target)
            time.sleep(2)
            self._told(size, "edits of a YAML file")
            waited = []
            with self._cpu_of(target) as used, self._waits(target, "edit", size):
                begun = time.monotonic()
                for number in range(self.amount.changes):
                    text = f"gw_edited_{number}_0123456789"
                    edited = time.monotonic()
                    home.add_yaml_key(text)
                    waited.append(_in_force(target, text) - edited)
                seconds = time.monotonic() - begun
            with self._cpu_of(target) as pinged, asking(target, self.folder, self.cores.load):
                time.sleep(self.amount.seconds)
            self._note("edit_in_force", size, max(waited))
            beside = pinged[0] / self.amount.seconds * seconds
            self._note("edit_cpu", size, max(0.0, used[0] - beside) / self.amount.changes)

    # --- inside

    def _scrapes(self, target: Target, size: int, idle: float) -> None:
        self._told(size, "scrapes")
        _scrape(target)
        times = max(3, round(self.amount.seconds / 3))
        begun = time.monotonic()
        with self._cpu_of(target) as used:
            for _ in range(times):
                _scrape(target)
        self._note("scrape_cpu", size, (used[0] - idle * (time.monotonic() - begun)) / times)
        with self._waits(target, "scrape", size):
            until = time.monotonic() + self.amount.seconds
            while (begun := time.monotonic()) < until:
                _scrape(target)
                time.sleep(max(0.0, begun + 1 - time.monotonic()))

    def _viewed(self, target: Target, size: int, number: int, figure: str) -> None:
        self._told(size, f"{number} viewers")
        try:
            with self._viewers(target, number):
                with self._cpu_of(target) as used, self._waits(target, figure, size):
                    time.sleep(self.amount.seconds)
                if figure == "viewers":
                    self._note("viewers_cpu", size, used[0] / self.amount.seconds)
        except StartError:
            self.failures.append(f"{size:,} deployments: {number} viewers did not get the page within {_PATIENCE:g} s")

    async def _changes(self, target: Target, home: Population, size: int, idle: float) -> None:
        """Keys that are made, one after the other. Their CPU is measured apart, while no client asks."""
        self._told(size, "changes in the database")
        waited = []
        async with open_database(home.database) as client:
            begun = time.monotonic()
            with self._cpu_of(target) as used:
                for number in range(self.amount.changes):
                    await _make_key(client, f"apart {size} {number}")
                    await asyncio.sleep(1)
            seconds = time.monotonic() - begun
            self._note("change_cpu", size, max(0.0, used[0] - idle * seconds) / self.amount.changes)
            with self._waits(target, "change", size):
                for number in range(self.amount.changes):
                    text = await _make_key(client, f"made {size} {number}")
                    made = time.monotonic()
                    waited.append(await asyncio.to_thread(_in_force, target, text) - made)
                    await asyncio.sleep(0.5)
        self._note("change_in_force", size, max(waited))

    async def _all_of_it(self, target: Target, home: Population, size: int) -> None:
        self._told(size, "all of it")
        until = 0.0

        async def scrape() -> None:
            while (begun := time.monotonic()) < until:
                await asyncio.to_thread(_scrape, target)
                await asyncio.sleep(max(0.0, begun + 5 - time.monotonic()))

        async def change(client: LocalClient) -> None:
            number = 0
            while time.monotonic() < until:
                await _make_key(client, f"beside {size} {number}")
                await asyncio.sleep(2)
                number += 1

        try:
            async with open_database(home.database) as client:  # to open it takes CPU time of its own
                with self._viewers(target, self.amount.viewers[0]):
                    until = time.monotonic() + 2 * self.amount.seconds
                    with self._waits(target, "all", size):
                        await asyncio.gather(scrape(), change(client))
        except StartError:
            self.failures.append(f"{size:,} deployments: all of it: viewers did not get the page")

    def _ask_all(self, target: Target, home: Population) -> None:
        """Ask every deployment for something, so that there is something to be counted of it."""
        connection = http.client.HTTPConnection("127.0.0.1", target.port)
        for name in home.deployments:
            one = Target(name, target.port, None, f"/api/gguf/{name}", target.key)
            _until_answered(partial(ask, connection, one, _PLAIN, b"{}"))
        connection.close()

    @contextmanager
    def _viewers(self, target: Target, number: int) -> Iterator[None]:
        command = (sys.executable, "-m", "scripts.scaling.viewers", str(target.port), str(number))
        process = Process(command, self.folder / "viewers.out", core=self.cores.load)
        try:
            process.wait_for("(open)", within=_PATIENCE)
            yield
        finally:
            process.stop()

    @contextmanager
    def _waits(self, target: Target, figure: str, size: int) -> Iterator[None]:
        with asking(target, self.folder, self.cores.load) as waits:
            yield
        if waits.failed:  # its figures are those until then
            self.say(f"FAILED: {waits.failed}")
            self.failures.append(f"{size:,} deployments: {FIGURES[figure][0]}: {waits.failed}")
        self._note(figure, size, *waits.times)

    @contextmanager
    def _cpu_of(self, target: Target) -> Iterator[list[float]]:
        used = [target.measured.cpu_seconds()]
        yield used
        used[0] = target.measured.cpu_seconds() - used[0]

    def _note(self, figure: str, size: int, *values: float) -> None:
        self.values.setdefault(figure, {})[str(size)] = list(values)

    def _told(self, size: int, what: str) -> None:
        self.say(f"{size:,} deployments: {what}")


async def _make_key(client: LocalClient, name: str) -> str:
    """As `gguf-gateway keys create` does. Returns the key's text."""
    made: CreatedKey = await client.perform("keys.create", request=NewKey(account="bench", name=name))
    return made.key


def _scrape(target: Target) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    if response.status != 200 or not response.read().endswith(b"\n"):
        raise Wrong(f"/metrics answered {response.status}")
    connection.close()


def _first_answer(target: Target) -> float:
    """When it first answered, in the monotonic clock: a deployment is ready once its upstream was probed."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    _until_answered(partial(ask, connection, target, _PLAIN, b"{}"))
    connection.close()
    return time.monotonic()


def _in_force(target: Target, key: str) -> float:
    """When it first took a key, in the monotonic clock."""
    return _first_answer(Target(target.name, target.port, None, target.base, key))


def _until_answered(question: Callable[[], bytes]) -> None:
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            question()
            return
        except Wrong:
            if time.monotonic() > patience:
                raise
            time.sleep(_POLL_SECONDS)
