"""The client beside everything, in a process of its own: what else is done here would hold it up.

`python -m scripts.scaling.client TARGET` asks every 10 ms until its standard input ends, and prints how long it waited.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.benchmark.figures import Summary
from scripts.benchmark.neighbours import Pinger, Wrong
from scripts.benchmark.process import Process
from scripts.benchmark.targets import Target


@dataclass
class Waits:
    """What a client waited, in seconds, once it has ended; `failed` says with what it ended too early.

    `times` are the median, the 99th percentile and the longest; moments are of the monotonic clock.
    """

    times: list[float] = field(default_factory=list)
    each: list[tuple[float, float]] = field(default_factory=list)  # when a request was due, and how long it took
    failed: str = ""


@contextmanager
def asking(target: Target, folder: Path, core: int | None) -> Iterator[Waits]:
    """Ask while the block runs."""
    told = json.dumps({"port": target.port, "base": target.base, "key": target.key})
    command = (sys.executable, "-m", "scripts.scaling.client", told)
    process = Process(command, folder / "client.out", core=core, stdin=subprocess.PIPE)
    process.wait_for("(asking)")
    waits = Waits()
    try:
        yield waits
    finally:
        process.end_input()
        process.wait()
        said = json.loads(process.text().splitlines()[-1])
        waits.times, waits.failed = list(said["times"].values()), said["failed"]
        waits.each = [(due, wait) for due, wait in said["each"]]


def _ask(target: Target) -> None:
    pinger, failed = None, ""
    print("asking", flush=True)
    try:
        with Pinger.beside(target) as pinger:
            sys.stdin.read()
    except (Wrong, OSError, http.client.HTTPException) as error:
        failed = str(error)
    times, each = (pinger.times, pinger.each) if pinger is not None else (Summary.of([]), [])
    print(json.dumps({"times": asdict(times), "each": each, "failed": failed}))


if __name__ == "__main__":
    _ask(Target("gateway", **json.loads(sys.argv[1])))
