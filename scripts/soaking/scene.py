"""The gateway of the soak and the model servers behind it, as processes."""

import contextlib
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.process import GATEWAY, Process
from scripts.soaking.cases import DEAD, FLAPPING, FOREIGN, GOOD

_CONFIG = """
server:
  port: 0
  log: {format: json, level: info}
  probes: {interval: 0.5}
  metrics: everyone
database: sqlite+aiosqlite:///gateway.db
"""


@dataclass(frozen=True)
class Scene:
    """What runs, and where: the gateway at `port`, the model servers all at `upstream`."""

    gateway: Process
    port: int
    upstream: int
    key: str
    database: Path


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Start everything; stop it in the end. Raises StartError."""
    with contextlib.ExitStack() as stack:
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))  # taken, and nobody listens
        model = Process((sys.executable, "-m", "scripts.soaking.upstream"), folder / "upstream.log")
        stack.callback(model.stop)
        upstream = int(model.wait_for(r"port (\d+)"))
        key = f"gw_{secrets.token_hex(24)}"
        database = folder / "gateway.db"
        _fill(database, folder, key, upstream, dead.getsockname()[1])
        config = folder / "gateway.yaml"
        config.write_text(_CONFIG, encoding="utf-8")
        gateway = Process((GATEWAY, "serve", "--config", str(config)), folder / "gateway.log")
        stack.callback(gateway.stop)
        port = int(gateway.wait_for(r"serving on http://127\.0\.0\.1:(\d+)"))
        yield Scene(gateway, port, upstream, key, database)


def _fill(database: Path, folder: Path, key: str, upstream: int, dead: int) -> None:
    alive = f'upstream: "http://127.0.0.1:{upstream}"'
    source = folder / "import.yaml"
    source.write_text(
        f"""
accounts: {{soak: {{keys: [{{name: main, key: {key}}}]}}, other: {{}}}}
deployments:
  {GOOD}: {{account: soak, {alive}}}
  {FLAPPING}: {{account: soak, {alive}}}
  {FOREIGN}: {{account: other, {alive}}}
  {DEAD}: {{account: soak, upstream: "http://127.0.0.1:{dead}", status: ready}}
""",
        encoding="utf-8",
    )
    command = (GATEWAY, "import", str(source), "--database", str(database))
    subprocess.run(command, check=True, capture_output=True)
    source.unlink()
