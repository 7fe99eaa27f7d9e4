"""Plain requests, as many as connections allow: with wrk where it is installed, else with a client of our own."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from scripts.benchmark.figures import Summary
from scripts.benchmark.process import pinned
from scripts.benchmark.wire import Broken, connect, post

_DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"errors":%d,"p50":%f,"p99":%f,"most":%f}\\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end
"""


@dataclass(frozen=True)
class Load:
    """What is asked for, over how many connections, for how many seconds."""

    port: int
    path: str
    key: str | None
    body: str
    connections: int
    seconds: float
    chunked: bool = False


@dataclass(frozen=True)
class Result:
    """`latency` in seconds; `errors` are answers other than 2xx and broken connections."""

    requests: int
    seconds: float
    errors: int
    latency: Summary


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def tool() -> str:
    """What drives the load."""
    return "wrk" if has_wrk() else "an asyncio client of our own (wrk is not installed)"


def drive(load: Load, folder: Path, core: int | None) -> Result:
    """Apply the load from a process of its own."""
    if has_wrk() and load.seconds >= 1:
        script = folder / "wrk.lua"
        script.write_text(_script(load), encoding="utf-8")
        url = f"http://127.0.0.1:{load.port}{load.path}"
        options = ["-t1", f"-c{load.connections}", f"-d{load.seconds:.0f}s", "--timeout", "10s"]
        command = ["wrk", *options, "-s", str(script), url]
    else:
        command = [sys.executable, "-m", "scripts.benchmark.plain", json.dumps(asdict(load))]
    done = subprocess.run((*pinned(core), *command), check=True, capture_output=True, text=True)
    values: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    latency = Summary(values["p50"], values["p99"], values["most"])
    return Result(values["requests"], values["seconds"], values["errors"], latency)


def _script(load: Load) -> str:
    if load.chunked:
        raw = request_bytes(load).decode().replace("\r\n", "\\r\\n")
        return f"local whole = '{raw}'\nrequest = function() return whole end" + _DONE
    lines = ['wrk.method = "POST"', f"wrk.body = [[{load.body}]]", 'wrk.headers["Content-Type"] = "application/json"']
    if load.key is not None:
        lines.append(f'wrk.headers["Authorization"] = "Bearer {load.key}"')
    return "\n".join(lines) + _DONE


def request_bytes(load: Load) -> bytes:
    """The whole request, as it goes over the wire."""
    whole = post(load.path, load.body.encode(), load.key)
    if not load.chunked:
        return whole
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")]
    return b"%b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (b"\r\n".join(lines), len(body), body)


# --- where there is no wrk


async def _run(load: Load) -> dict[str, float]:
    begun = monotonic()
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    request = request_bytes(load)

    async def ask_for_as_long() -> None:
        wire = await connect(load.port)
        while (asked := monotonic()) < begun + load.seconds:
            try:
                status = await wire.ask(request, lambda _: None)
            except Broken as error:
                errors[str(error)] += 1
                wire = await connect(load.port)
                continue
            latencies.append(monotonic() - asked)
            errors["status"] += status >= 300
        wire.close()

    await asyncio.gather(*(ask_for_as_long() for _ in range(load.connections)))
    seconds = monotonic() - begun
    return {
        "requests": len(latencies),
        "seconds": seconds,
        "errors": errors.total(),
        **asdict(Summary.of(latencies)),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(Load(**json.loads(sys.argv[1]))))))
