"""What must be left of a soak when it is over: nothing. Each demand that is not met is one sentence."""

import http.client
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.benchmark.process import Process

MIB = 1024 * 1024
_FREE_SECONDS = 15.0  # for idle connections to upstreams to be let go of, and everything else
_ENOUGH = 50_000  # requests; until then memory that was never used before still comes into use
_SLOPE = 1.0  # MiB for 20,000 requests
_COMPLAINTS = re.compile(r"Traceback|Unclosed|never retrieved|never awaited|\"traceback\"|ResourceWarning")

Sample = tuple[int, int]  # requests done, bytes of memory


def slope(samples: Sequence[Sample]) -> float:
    """Growth of memory over the last four fifths, in MiB for 20,000 requests. Needs two different samples in there."""
    last = samples[-1][0]
    later = [sample for sample in samples if sample[0] >= last / 5]
    fit = statistics.linear_regression([done for done, _ in later], [memory for _, memory in later])
    return float(fit.slope) * 20_000 / MIB


def of_memory(samples: Sequence[Sample]) -> Iterator[str]:
    """Memory must not grow with the number of requests."""
    if samples[-1][0] >= _ENOUGH and (grown := slope(samples)) > _SLOPE:
        yield f"Memory grows by {grown:.2f} MiB for 20,000 requests over the last 80 % (at most {_SLOPE:g})."


def of_what_is_held(gateway: Process, port: int, descriptors: int, upstream: int) -> Iterator[str]:
    """Nothing under way, no connection upstream, no descriptor more than at the start: now, or in a few seconds."""
    deadline = time.monotonic() + _FREE_SECONDS
    while (left := _left(gateway, port, descriptors, upstream)) and time.monotonic() < deadline:
        time.sleep(0.2)  # no event tells of another process's descriptors
    yield from left


def _left(gateway: Process, port: int, descriptors: int, upstream: int) -> list[str]:
    text = _get(port, "/metrics").decode()
    found = {name: _sum(text, name) for name in ("gguf_open_exchanges", "gguf_upstream_connections")}
    left = [f"{name} is {number:g} in the end, and was 0." for name, number in found.items() if number]
    now = gateway.descriptors()
    if now > descriptors:
        left.append(f"{now} file descriptors are open in the end, and {descriptors} were.")
    under_way = json.loads(_get(upstream, "/stats"))["under_way"]
    if under_way:
        left.append(f"The model servers still answer {under_way} requests that nobody waits for.")
    return left


def of_the_model_servers(upstream: int) -> Iterator[str]:
    """No request may be carried out twice."""
    twice = json.loads(_get(upstream, "/stats"))["twice"]
    if twice:
        yield f"{twice} requests reached a model server twice."


def of_the_log(path: Path, answered: set[str]) -> Iterator[str]:
    """One line for each request that was answered, and no complaint."""
    lines: Counter[str] = Counter()
    with path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            complaint = _COMPLAINTS.search(line)
            if complaint is not None:
                yield f"The log complains: {line.strip()[:300]}"
                return
            if '"message":"request"' in line:
                lines[json.loads(line)["id"]] += 1
    unfit = sum(lines[one] != 1 for one in answered)
    if unfit:
        yield f"{unfit} of {len(answered)} answered requests have no line of their own in the log, or more than one."


def _sum(text: str, name: str) -> float:
    return sum(float(number) for number in re.findall(rf"^{name}\{{.*\}} (\S+)$", text, re.MULTILINE))


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()
