"""What was measured, as it is kept in JSON: the machine, the figures of every round, and what was demanded of them."""

import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scripts.benchmark.figures import Spread


@dataclass(frozen=True)
class Kind:
    """What a figure is of: its words, its unit, what a value is multiplied with to be in that unit."""

    label: str
    unit: str
    scale: float = 1.0
    digits: int = 1


_US, _MS = 1e6, 1e3
CONNECTIONS = (1, 16, 64)

KINDS: dict[str, Kind] = {
    "request_cpu": Kind("CPU per request, 32 connections", "µs", _US),
    "query_cpu": Kind("CPU per request with a query, 32 connections", "µs", _US),
    "chunked_cpu": Kind("CPU per request with its body in chunks, 32 connections", "µs", _US),
    "event_cpu": Kind("CPU per event, 32 streams of 100 begun together, 16,000 events/s", "µs", _US),
    "event_cpu_apart": Kind("CPU per event, the same, begun one after the other", "µs", _US),
    "event_cpu_calm": Kind("CPU per event, begun one after the other, 6,400 events/s", "µs", _US),
    "throughput": Kind("requests a second, 32 connections", "1/s", 1, 0),
    **{f"p50_{n}": Kind(f"p50 at {n} connection{'s' * (n > 1)}", "ms", _MS, 2) for n in CONNECTIONS},
    **{f"p99_{n}": Kind(f"p99 at {n} connection{'s' * (n > 1)}", "ms", _MS, 2) for n in CONNECTIONS},
    "first_p50": Kind("time to the first byte, p50", "ms", _MS, 2),
    "first_p99": Kind("time to the first byte, p99", "ms", _MS, 2),
    "delay_p50": Kind("delay of an event, 32 streams, p50", "ms", _MS, 2),
    "delay_p99": Kind("delay of an event, 32 streams, p99", "ms", _MS, 2),
    "many_p50": Kind("delay of an event, many streams, p50", "ms", _MS, 2),
    "many_p99": Kind("delay of an event, many streams, p99", "ms", _MS, 2),
    "many_cpu": Kind("share of a core, many streams", "%", 100),
    "stream_memory": Kind("memory of an open stream", "KiB", 1 / 1024),
    "stream_files": Kind("file descriptors of an open stream", "", 1, 2),
    "start": Kind("start to first answered request", "s", 1, 2),
    "import": Kind("`import gateway`", "s", 1, 3),
    "import_all": Kind("import of all that serves", "s", 1, 2),
    "idle_memory": Kind("memory, idle", "MB", 1e-6),
    "idle_cpu": Kind("share of a core, idle", "%", 100, 2),
    "idle_memory_yaml": Kind("memory, idle, from a YAML file", "MB", 1e-6),
    "idle_cpu_yaml": Kind("share of a core, idle, from a YAML file", "%", 100, 2),
    "slow_reader": Kind("memory of each of 8 clients that read nothing of 32 MiB", "MiB", 1 / 1024**2, 2),
    "slow_ping": Kind("slowest other answer beside them", "ms", _MS),
    "large_ping": Kind("slowest other answer beside 10 MB bodies", "ms", _MS),
    "spread_1": Kind("requests a second, nothing pinned", "1/s", 1, 0),
    "spread_2": Kind("the same with `workers: 2`", "1/s", 1, 0),
    "spread_busy_1": Kind("share of all cores that was busy, one worker", "%", 100, 0),
    "spread_busy_2": Kind("the same with `workers: 2`: load and backend are on these cores, too", "%", 100, 0),
}
ADDED = tuple(name for name in KINDS if name.startswith(("p50_", "p99_", "first_", "delay_", "many_p")))


@dataclass
class Record:
    """`values[figure][target]` has one value for each round, in seconds, bytes or as it is."""

    machine: dict[str, str]
    method: dict[str, Any]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)  # streams and answers that were not what they must be

    def add(self, figure: str, target: str, value: float) -> None:
        """Note one value."""
        self.values.setdefault(figure, {}).setdefault(target, []).append(value)

    def spread(self, figure: str, target: str) -> Spread | None:
        """The rounds of a figure in its unit; None if it was not measured."""
        values = self.values.get(figure, {}).get(target)
        scale = KINDS[figure].scale
        return Spread.of([value * scale for value in values]) if values else None

    def added(self, figure: str, target: str) -> Spread | None:
        """What a target adds to asking the backend directly, round by round."""
        values, direct = self.values.get(figure, {}).get(target), self.values.get(figure, {}).get("direct")
        if not values or not direct:
            return None
        scale = KINDS[figure].scale
        return Spread.of([(one - other) * scale for one, other in zip(values, direct, strict=True)])

    def ratio(self, figure: str, to: str) -> float | None:
        """The gateway's figure as a multiple of a target's, median to median; of added figures, of those."""
        told = self.added if figure in ADDED else self.spread
        gateway, other = told(figure, "gateway"), told(figure, to)
        return gateway.median / other.median if gateway and other and other.median > 0 else None

    @property
    def host(self) -> tuple[str, ...]:
        """What tells where it ran from other places, as far as machine and interpreter say what they are."""
        return tuple(self.machine.get(name, "") for name in ("processor", "memory", "Python", "built"))


def put_first(record: Record, others: Sequence[Record]) -> list[Record]:
    """The last run of each host and interpreter, this one first."""
    return [record, *(other for other in others if other.host != record.host)]


def dump(records: Sequence[Record]) -> str:
    """As JSON."""
    return json.dumps([asdict(record) for record in records], indent=1, ensure_ascii=False) + "\n"


def load(text: str) -> list[Record]:
    """From JSON."""
    return [Record(**one) for one in json.loads(text)]


@dataclass(frozen=True)
class Demand:
    """What the figures must be: at most `limit`, or `at_least` it. `seen` is None if there is nothing to compare."""

    text: str
    limit: float
    seen: float | None
    at_least: bool = False

    @property
    def bound(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}"

    @property
    def verdict(self) -> str:
        """In two words."""
        if self.seen is None:
            return "not measured"
        holds = self.seen >= self.limit if self.at_least else self.seen <= self.limit
        return "reached" if holds else "not reached"


def demands(record: Record) -> Iterator[Demand]:
    """What is demanded. A floor that moves with the host as we do stands behind what CPU time may be."""

    def median_of(figure: str, *, added: bool = False) -> float | None:
        spread = record.added(figure, "gateway") if added else record.spread(figure, "gateway")
        return None if spread is None else spread.median

    streams, ratio = record.method["streams"], record.ratio
    yield Demand("CPU per request, times the bare relay", 1.5, ratio("request_cpu", "bare"))
    yield Demand("CPU per event, streams begun together, times the bare relay", 1.05, ratio("event_cpu", "bare"))
    yield Demand("CPU per request with a query, times the bare relay", 2.5, ratio("query_cpu", "bare"))
    yield Demand("CPU per request in chunks, times the bare relay", 2.5, ratio("chunked_cpu", "bare"))
    yield Demand("CPU per request, times nginx", 4.0, ratio("request_cpu", "nginx"))
    yield Demand("CPU per event, streams begun together, times nginx", 1.5, ratio("event_cpu", "nginx"))
    yield Demand("answers and streams that were not whole, or not identical", 0, float(len(record.failures)))
    yield Demand("added latency at 16 connections, p99, ms", 10, median_of("p99_16", added=True))
    yield Demand(f"memory of each of {streams} streams, KiB", 16, median_of("stream_memory"))
    yield Demand(f"added delay of an event at {streams} streams, p99, ms", 20, median_of("many_p99", added=True))
    yield Demand("the same, times nginx", 1.1, ratio("many_p99", "nginx"))
    yield Demand("start to first answered request, with a database, s", 0.3, median_of("start"))
    yield Demand("`import gateway` (its `__init__` imports nothing), s", 0.25, median_of("import"))
    yield Demand("memory, idle, MB", 45, median_of("idle_memory_yaml"))
    yield Demand("memory, idle, with a database, MB", 45, median_of("idle_memory"))
    one, two = median_of("spread_1"), median_of("spread_2")
    yield Demand(
        "requests a second with `workers: 2`, times one", 1.8, two / one if one and two else None, at_least=True
    )
    yield Demand("memory of a slow reader, MiB", 1, median_of("slow_reader"))
    yield Demand("slowest other answer beside 10 MB bodies, ms", 100, median_of("large_ping"))


def machine() -> dict[str, str]:
    """What it ran on, and with."""
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{len(os.sched_getaffinity(0))} cores, {cpu[1] if cpu else platform.machine()}",
        "memory": f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "built": _built(),
        **{name: _version_of(name) for name in ("aiohttp", "httptools", "uvloop")},
        "nginx": _said_by("nginx", "-v"),
        "wrk": _said_by("wrk", "-v"),
    }


def _built() -> str:
    """How the interpreter was built: profile-guided optimisation alone is worth a sixth of a request.

    Debian's package has it by the package's rules, and not by an option of `configure`.
    """
    if "deb_system" in sysconfig.get_scheme_names():
        return f"{platform.python_compiler()}, Debian's package: with profile-guided optimisation"
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    guided = "with" if "--enable-optimizations" in options else "without"
    linked = "with" if "--with-lto" in options else "without"
    compiler = platform.python_compiler()
    return f"{compiler}, {guided} profile-guided optimisation, {linked} link-time optimisation"


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _said_by(command: str, flag: str) -> str:
    """The version in what a command says of itself."""
    path = shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        return "not installed"
    done = subprocess.run((path, flag), capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "unknown"
