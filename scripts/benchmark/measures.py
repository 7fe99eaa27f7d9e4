"""What is measured, one function for each group of figures. All of it goes into a Record."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.benchmark import neighbours, plain
from scripts.benchmark.neighbours import MIB, Wrong
from scripts.benchmark.plain import Load
from scripts.benchmark.process import Process
from scripts.benchmark.record import CONNECTIONS, Record
from scripts.benchmark.streams import Plan, Report
from scripts.benchmark.targets import GatewayHome, Target

_PLAIN, _STREAM = "/v1/embeddings", "/v1/chat/completions"
_BODY = '{"model":"bench","input":"How warm was it yesterday, and how warm will it be tomorrow?"}'
_CONCURRENT = 32
_EVENTS = 100  # of the streams whose CPU time is measured
_CALM, _BUSY = 0.005, 0.002  # seconds between two events of each of them
_APART = 0.1  # seconds over which they begin, where they do not begin together
_SLOW_READERS, _SLOW_BYTES = 8, 32 * MIB
_LARGE_BYTES = 10_000_000


@dataclass(frozen=True)
class Profile:
    """How much of everything: seconds, rounds, streams."""

    rounds: int
    turns: int  # in a round, of those whose CPU time is measured
    seconds: float  # of plain load, in a turn
    repeats: int  # of 32 streams, in a turn
    calm_repeats: int
    streams: int
    stream_seconds: float
    interval: float  # between two events of each of the many streams
    starts: int
    firsts: int  # answers whose first byte is timed
    large_bodies: int
    slow_seconds: float
    idle_seconds: float


FULL = Profile(
    rounds=5,
    turns=8,
    seconds=1,
    repeats=2,
    calm_repeats=5,
    streams=1000,
    stream_seconds=60,
    interval=0.2,
    starts=5,
    firsts=300,
    large_bodies=20,
    slow_seconds=3,
    idle_seconds=15,
)
QUICK = Profile(
    rounds=1,
    turns=2,
    seconds=1,
    repeats=2,
    calm_repeats=2,
    streams=200,
    stream_seconds=6,
    interval=0.2,
    starts=2,
    firsts=100,
    large_bodies=5,
    slow_seconds=1,
    idle_seconds=2,
)


@dataclass(frozen=True)
class Cores:
    """Where the processes are kept; None: wherever the kernel likes."""

    load: int | None
    backend: int | None
    measured: int | None

    @classmethod
    def of(cls, available: list[int]) -> "Cores":
        """The measured one alone on a core, where there are two; the others apart from each other, where three."""
        if len(available) < 2:
            return cls(None, None, None)
        return cls(available[0], available[1 % (len(available) - 1)], available[-1])


@dataclass(frozen=True)
class Bench:
    """Everything a measurement needs. `say` tells a person what is being done."""

    profile: Profile
    record: Record
    folder: Path
    cores: Cores
    say: Callable[[str], None]

    # --- the gateway alone

    def starts(self, start: Callable[[], AbstractContextManager[Target]]) -> None:
        """From the command to the first good answer, keys looked up and all; a first start compiles the modules."""
        for number in range(self.profile.starts + 1):
            self.say(f"start {number} of {self.profile.starts}")
            with start() as target:
                _ask_once(target)
                if number:
                    self.record.add("start", target.name, time.monotonic() - target.measured.started)

    def imports(self, environ: Mapping[str, str]) -> None:
        """What importing takes, less what starting Python takes."""
        self.say("imports")
        for figure, module in (("import", "gateway"), ("import_all", "gateway.cli.serving")):
            for _ in range(self.profile.starts):
                bare, whole = _run_python("pass", environ), _run_python(f"import {module}", environ)
                self.record.add(figure, "gateway", max(0.0, whole - bare))

    def idle(self, start: Callable[[], AbstractContextManager[Target]], suffix: str = "") -> None:
        """Memory and CPU of one that has answered a request and now has nothing to do."""
        with start() as target:
            self.say(f"{target.name}: idle")
            _ask_once(target)
            time.sleep(1)
            with self._cpu_of(target) as used:
                time.sleep(self.profile.idle_seconds)
            self.record.add(f"idle_memory{suffix}", target.name, target.measured.memory())
            self.record.add(f"idle_cpu{suffix}", target.name, used[0] / self.profile.idle_seconds)

    # --- each target in turn

    def requests(self, driven: Sequence[Target]) -> None:
        """Plain requests, each connection asking again once it is answered: CPU for each, and throughput.

        The turns are short, here as for events: other load on the machine's host changes within seconds.
        """
        for _ in range(self.profile.turns):
            for target in driven:
                with self._cpu_of(target) as used:
                    result = self._drive(target, _CONCURRENT, self.profile.seconds)
                if target.process is not None:
                    self.record.add("request_cpu", target.name, used[0] / max(1, result.requests))
                self.record.add("throughput", target.name, result.requests / result.seconds)

    def odd_requests(self, driven: Sequence[Target]) -> None:
        """Requests that are not plain, as clients send them too: with a query, and with a body in chunks."""
        for _ in range(self.profile.turns):
            for figure, query, chunked in (("query_cpu", "?stream=false", False), ("chunked_cpu", "", True)):
                for target in driven:
                    with self._cpu_of(target) as used:
                        result = self._drive(target, _CONCURRENT, self.profile.seconds, query=query, chunked=chunked)
                    self.record.add(figure, target.name, used[0] / max(1, result.requests))

    def latencies(self, target: Target) -> None:
        """How long plain requests take at several numbers of connections."""
        for connections in CONNECTIONS:
            latency = self._drive(target, connections, 2 * self.profile.seconds).latency
            self.record.add(f"p50_{connections}", target.name, latency.p50)
            self.record.add(f"p99_{connections}", target.name, latency.p99)

    def delays(self, target: Target) -> None:
        """Streams: how late an event comes; then the first byte of streams one after the other."""
        report = self._streams(target, "event_cpu_calm", _CALM, _APART, self.profile.calm_repeats)
        self.record.add("delay_p50", target.name, report.delays.p50)
        self.record.add("delay_p99", target.name, report.delays.p99)
        firsts = self._read(self._plan(target, 1, 1, 0.0, repeats=self.profile.firsts), target.name).first
        self.record.add("first_p50", target.name, firsts.p50)
        self.record.add("first_p99", target.name, firsts.p99)

    def events(self, driven: Sequence[Target]) -> None:
        """CPU for each event of streams that begin together, and of streams that begin one after the other."""
        for _ in range(self.profile.turns):
            for figure, ramp in (("event_cpu", 0.0), ("event_cpu_apart", _APART)):
                for target in driven:
                    self._streams(target, figure, _BUSY, ramp, self.profile.repeats)

    def many_streams(self, target: Target) -> None:
        """A thousand streams at a time: memory, descriptors, CPU, how late events come, and whether all are whole."""
        profile = self.profile
        self.say(f"{target.name}: {profile.streams} streams for {profile.stream_seconds:g} s")
        _ask_once(target)
        ramp = min(5.0, profile.stream_seconds / 4)
        events = max(2, round(profile.stream_seconds / profile.interval))
        plan = self._plan(target, profile.streams, events, profile.interval, ramp=ramp)
        memory = files = 0
        if target.process is not None:
            memory, files = target.process.memory(), target.process.descriptors()
        client = self._start_reader(plan)
        client.wait_for("(open)", within=60 + 2 * ramp)
        seconds = max(0.5, profile.stream_seconds - 2 * ramp)
        with self._cpu_of(target) as used:
            time.sleep(seconds)
        if target.process is not None:
            self.record.add("many_cpu", target.name, used[0] / seconds)
            self.record.add("stream_memory", target.name, (target.process.memory() - memory) / profile.streams)
            self.record.add("stream_files", target.name, (target.process.descriptors() - files) / profile.streams)
        report = self._report(client, plan, target.name)
        self.record.add("many_p50", target.name, report.delays.p50)
        self.record.add("many_p99", target.name, report.delays.p99)

    def neighbours(self, target: Target) -> None:
        """Clients that do not read, and one that sends large bodies, and what others notice of them."""
        profile = self.profile
        try:
            self.say(f"{target.name}: {_SLOW_READERS} slow readers")
            slow = neighbours.slow_readers(target, _SLOW_READERS, _SLOW_BYTES, profile.slow_seconds)
            self.record.add("slow_reader", target.name, slow.memory)
            self.record.add("slow_ping", target.name, slow.pings.most)
            self.say(f"{target.name}: {profile.large_bodies} bodies of 10 MB")
            pings = neighbours.large_bodies(target, _LARGE_BYTES, profile.large_bodies)
            self.record.add("large_ping", target.name, pings.most)
        except (Wrong, OSError, http.client.HTTPException) as error:
            self.record.failures.append(f"{target.name}: {error}")

    def workers(self, home: GatewayHome) -> None:
        """Throughput with one worker and with two in turns, nothing kept on a core; by wrk alone.

        A client in Python takes more of the cores than the gateway: what was measured would be the client.
        """
        if not plain.has_wrk():
            self.say("wrk is not installed (apt-get install wrk): two workers are not compared with one")
            return
        for _ in range(self.profile.rounds):
            for number in (1, 2):
                self.say(f"workers: {number}")
                home.configure(number)
                with home.gateway(None, f"workers-{number}") as target:
                    before = _processor_time()
                    result = self._drive(target, _CONCURRENT, 4 * self.profile.seconds, unpinned=True)
                    busy, idle = (now - then for now, then in zip(_processor_time(), before, strict=True))
                self.record.add(f"spread_{number}", "gateway", result.requests / result.seconds)
                self.record.add(f"spread_busy_{number}", "gateway", busy / (busy + idle))
        home.configure()

    # --- inside

    def _drive(
        self,
        target: Target,
        connections: int,
        seconds: float,
        *,
        unpinned: bool = False,
        query: str = "",
        chunked: bool = False,
    ) -> plain.Result:
        odd = " with a query" * bool(query) + " in chunks" * chunked
        self.say(f"{target.name}: requests{odd} over {connections} connection{'s' * (connections > 1)}")
        path = target.base + _PLAIN + query
        load = Load(target.port, path, target.key, _BODY, connections, seconds, chunked)
        result = plain.drive(load, self.folder, None if unpinned else self.cores.load)
        if result.errors:
            self.record.failures.append(f"{target.name}: {result.errors} errors at {connections} connections")
        return result

    def _streams(self, target: Target, figure: str, interval: float, ramp: float, repeats: int) -> Report:
        """Read 32 streams at a time, so many times; note the CPU time of an event."""
        plan = self._plan(target, _CONCURRENT, _EVENTS, interval, ramp=ramp, repeats=repeats)
        with self._cpu_of(target) as used:
            report = self._read(plan, target.name)
        if target.process is not None:
            self.record.add(figure, target.name, used[0] / max(1, report.events))
        return report

    def _plan(
        self, target: Target, streams: int, events: int, interval: float, *, ramp: float = 0.0, repeats: int = 1
    ) -> Plan:
        path = target.base + _STREAM
        return Plan(target.port, path, target.key, streams, events, interval, ramp, repeats)

    def _start_reader(self, plan: Plan) -> Process:
        command = (sys.executable, "-m", "scripts.benchmark.streams", json.dumps(asdict(plan)))
        return Process(command, self.folder / "streams.out", core=self.cores.load)

    def _read(self, plan: Plan, name: str) -> Report:
        self.say(f"{name}: {plan.streams} at a time of {plan.streams * plan.repeats} streams of {plan.events} events")
        return self._report(self._start_reader(plan), plan, name)

    def _report(self, client: Process, plan: Plan, name: str) -> Report:
        client.wait()
        report = Report.parse(client.text())
        wanted = plan.streams * plan.repeats
        if report.whole != wanted:
            lacking = f"{wanted - report.whole} of {wanted} streams are not whole"
            self.record.failures.append(f"{name}: {lacking}: {report.errors}")
        return report

    @contextmanager
    def _cpu_of(self, target: Target) -> Iterator[list[float]]:
        """The CPU seconds that a target's processes used in the block, as the list's one element afterwards."""
        used = [0.0]
        begun = target.process.cpu_seconds() if target.process is not None else 0.0
        yield used
        used[0] = (target.process.cpu_seconds() if target.process is not None else 0.0) - begun


def _ask_once(target: Target) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    neighbours.ask(connection, target, _PLAIN, _BODY.encode())
    connection.close()


def _processor_time() -> tuple[int, int]:
    """How long all cores were busy and idle since the machine started, in ticks of the clock (proc(5), /proc/stat)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]  # the latter waits for a disk
    return sum(ticks) - idle, idle


def _run_python(code: str, environ: Mapping[str, str]) -> float:
    begun = time.monotonic()
    subprocess.run((sys.executable, "-c", code), check=True, env={**os.environ, **environ})
    return time.monotonic() - begun
