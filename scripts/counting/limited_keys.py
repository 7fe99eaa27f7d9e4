"""What a request costs by a key that is limited, beside one by a key that is not: of one gateway, in one run.

With a database, so that the last use of each key is noted, too.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from scripts.benchmark.process import GATEWAY
from scripts.counting.callgrind import counted
from scripts.counting.loads import Client, model_server, repeated
from scripts.counting.slowed_gateway import SLOWDOWN

PLAIN = "plain"
_SCOPES = ("--deployment", "bench", "--endpoints", "openai")
_NETWORKS = ("--network", "10.0.0.0/8", "--network", "127.0.0.0/8")
KEYS = {  # by what limits them, as `gguf-gateway keys create` is told
    PLAIN: (),
    "deployments, endpoints": _SCOPES,
    "deployments, endpoints, networks": (*_SCOPES, *_NETWORKS),
    "expiry": ("--expires-in", "90d"),
    "requests a minute": (),
    "requests, tokens, under way": (),
}
_A_MINUTE = ("--requests-per-minute", "1000000")
_MEASURES = {  # as `gguf-gateway limits set` is told
    "requests a minute": _A_MINUTE,
    "requests, tokens, under way": (*_A_MINUTE, "--tokens-per-day", "1000000000", "--concurrent-requests", "16"),
}
_CONFIG = """
server:
  port: 0
  log: {{format: json, level: info}}
  probes: {{interval: {interval}}}
  timeouts: {{keepalive: {keepalive}}}
database: sqlite+aiosqlite:///gateway.db
"""
_WARM = 20  # requests before the first that counts: what is kept after them is kept
# Of a load: as many as the ledger adds up at once, and a multiple of those that are counted, and written to the log.
_REQUESTS = 256
_ROUNDS = 5  # of each load, by turns: what runs beside the requests falls on any of them, or on none


def key_counts() -> dict[str, int]:
    """The instructions of a request, by what its key is limited to: the median of several rounds."""
    with tempfile.TemporaryDirectory(prefix="gguf-count-") as name, model_server() as server:
        folder = Path(name)
        config = folder / "gateway.yaml"
        config.write_text(_CONFIG.format(interval=5 * SLOWDOWN, keepalive=75 * SLOWDOWN), encoding="utf-8")
        config.chmod(0o600)
        upstream = ("--upstream", f"http://127.0.0.1:{server.port}")
        _command(config, "deployments", "add", "bench", "--account", "bench", "--create-account", *upstream)
        keys = {limit: _new_key(config, limit) for limit in KEYS}
        options = ("serve", "--config", str(config))
        with counted("scripts.counting.slowed_gateway", options, r"serving on http://.*:(\d+)") as process:
            clients = {limit: Client(process.port, "/api/gguf/bench", key, server) for limit, key in keys.items()}
            for client in clients.values():
                repeated(client.plain, _WARM)()
            process.begin()
            rounds = [
                {limit: process.instructions_of(repeated(one.plain, _REQUESTS)) for limit, one in clients.items()}
                for _ in range(_ROUNDS)
            ]
            for client in clients.values():
                client.close()
            return {limit: int(median(one[limit] for one in rounds)) // _REQUESTS for limit in KEYS}


def _new_key(config: Path, limit: str) -> str:
    said = _command(config, "keys", "create", "--account", "bench", "--name", limit, "--json", *KEYS[limit])
    made = json.loads(said)
    if limit in _MEASURES:
        _command(config, "limits", "set", "--key", made["id"], *_MEASURES[limit])
    return str(made["key"])


def _command(config: Path, *arguments: str) -> str:
    command = (GATEWAY, *arguments, "--config", str(config))
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
