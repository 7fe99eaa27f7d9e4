"""`make instructions`: how many instructions a request and an event take, and how many a bare relay takes for them.

callgrind counts them, so the figures do not depend on what else the machine does. Counted is what runs in the process,
not what the kernel does for it. Each figure is the difference of two loads: what starting costs, and a connection, is
in neither. The bare relay (scripts/benchmark/bare_relay.py) is the floor: what Python needs for the same bytes.
"""

import json
import secrets
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scripts.counting.callgrind import CountedProcess, counted, is_installed
from scripts.counting.limited_keys import PLAIN, key_counts
from scripts.counting.loads import Client, ModelServer, model_server, repeated
from scripts.counting.slowed_gateway import SLOWDOWN

_BASE = "/api/gguf/bench"
_CONFIG = """
server:
  port: 0
  log: {{format: json, level: info}}
  status_page: everyone
  metrics: everyone
  probes: {{interval: {interval}}}
  timeouts: {{keepalive: {keepalive}}}
accounts: {{bench: {{keys: [{{name: bench, key: {key}}}]}}}}
deployments: {{bench: {{account: bench, upstream: "http://127.0.0.1:{port}"}}}}
"""
_WARM = 20  # requests before the first that counts: what is kept after them is kept
# Asked, in the two loads whose difference counts. They are multiples of the 64 that are counted, and written to the
# log, at once, so that each load has its share of that, wherever the one before has ended.
_REQUESTS = (64, 192)
_EVENTS = (100, 1600)  # the same of a stream's: one costs little, and the timers beside it must not show

Counts = dict[str, int]  # instructions by what was asked


def gateway_counts() -> Counts:
    """The instructions of the gateway, everything on."""
    with tempfile.TemporaryDirectory(prefix="gguf-count-") as folder, model_server() as server:
        key, config = f"gw_{secrets.token_hex(24)}", Path(folder, "gateway.yaml")
        slowed = {"interval": 5 * SLOWDOWN, "keepalive": 75 * SLOWDOWN}
        config.write_text(_CONFIG.format(key=key, port=server.port, **slowed), encoding="utf-8")
        config.chmod(0o600)
        options = ("serve", "--config", str(config))
        return _counts(counted("scripts.counting.slowed_gateway", options, r"serving on http://.*:(\d+)"), key, server)


def bare_counts() -> Counts:
    """Those of the bare relay."""
    with model_server() as server:
        key = f"gw_{secrets.token_hex(24)}"
        options = ("--upstream", str(server.port), "--base", _BASE, "--key", key)
        return _counts(counted("scripts.benchmark.bare_relay", options, r"port (\d+)"), key, server)


def _counts(running: AbstractContextManager[CountedProcess], key: str, server: ModelServer) -> Counts:
    with running as process:
        client = Client(process.port, _BASE, key, server)
        repeated(client.plain, _WARM)()
        process.begin()
        counts = {"request": _of_one(process, partial(repeated, client.plain))}
        counts["event"] = _of_one(process, lambda events: partial(client.stream, events), _EVENTS)
        counts["stream, begun and ended"] = _of_one(process, partial(repeated, partial(client.stream, 2)))
        client.close()
        others = {"query": Client.with_query, "chunked": Client.chunked, "Expect": Client.expecting}
        for name, ask in others.items():
            client = Client(process.port, _BASE, key, server)
            counts[name] = _of_one(process, partial(repeated, partial(ask, client)))
            client.close()
        return counts


def _of_one(
    process: CountedProcess, load: Callable[[int], Callable[[], None]], numbers: tuple[int, int] = _REQUESTS
) -> int:
    """The instructions of one more of what `load` is given the number of."""
    few, many = numbers
    load(few)()
    used = [process.instructions_of(load(number)) for number in numbers]
    return (used[1] - used[0]) // (many - few)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures for a program.")
def main(as_json: bool) -> None:
    """Count the instructions of a request and of an event (three minutes)."""
    if not is_installed():
        raise click.ClickException("valgrind is not installed (apt-get install valgrind)")
    gateway, bare, keys = gateway_counts(), bare_counts(), key_counts()
    if as_json:
        print(json.dumps({"gateway": gateway, "bare": bare, "keys": keys}))
        return
    table = Table("instructions of a", "gateway", "bare relay", "times", title=f"Python {sys.version.split()[0]}")
    for name, count in gateway.items():
        table.add_row(name, f"{count:,}", f"{bare[name]:,}", f"{count / bare[name]:.2f}")
    Console().print(table)
    table = Table("instructions of a request by a key limited to", "with a database", "times a plain key's")
    for name, count in keys.items():
        table.add_row(name, f"{count:,}", f"{count / keys[PLAIN]:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
