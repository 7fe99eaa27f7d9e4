"""A gateway's folder with very many deployments and keys in it, all of the deployments before one backend."""

import hashlib
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scripts.benchmark.process import GATEWAY, Process
from scripts.benchmark.targets import Target

_OWNER, _KEY = "bench", "gw_bench_scale_0123456789"
_CROWD = 500  # accounts that the other keys belong to
_SERVER = """
server:
  port: 0
  log: {format: json, level: info}
  status_page: everyone
  metrics: everyone
"""


class Population:
    """So many deployments, all of one account, and so many keys of others, in an SQLite file or a YAML file."""

    def __init__(self, folder: Path, backend: Target, deployments: int, keys: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._upstream = f"http://127.0.0.1:{backend.port}"
        self.deployments = [f"model-{number:05}" for number in range(deployments)]
        self.keys = keys
        self.database = folder / "gateway.db"
        self.config = folder / "gateway.yaml"

    def in_database(self) -> None:
        """Fill a new database. Its rows are written directly: the commands make one key at a time."""
        self._command("accounts", "add", _OWNER, "--database", str(self.database))
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        with closing(sqlite3.connect(self.database)) as database, database:
            database.executemany(
                "INSERT INTO accounts (id, created_at) VALUES (?, ?)", [(f"crowd-{n}", now) for n in range(_CROWD)]
            )
            database.executemany(
                "INSERT INTO keys (id, name, account, digest, created_at) VALUES (?, ?, ?, ?, ?)",
                [("key_bench", "bench", _OWNER, _digest(_KEY), now), *self._crowd(now)],
            )
            database.executemany(
                "INSERT INTO deployments (id, account, upstream, status, created_at, updated_at)"
                " VALUES (?, ?, ?, 'auto', ?, ?)",
                [(name, _OWNER, self._upstream, now, now) for name in self.deployments],
            )
        self._write("database: sqlite+aiosqlite:///gateway.db\n")

    def in_yaml(self) -> None:
        """Write a configuration file with the deployments, and one key."""
        lines = [f'  {name}: {{account: {_OWNER}, upstream: "{self._upstream}"}}' for name in self.deployments]
        self._write(f"accounts: {{{_OWNER}: {{keys: [{{name: bench, key: {_KEY}}}]}}}}\ndeployments:\n")
        with self.config.open("a") as file:
            file.write("\n".join(lines) + "\n")

    def add_yaml_key(self, text: str) -> None:
        """Give the owner one more key, in the configuration file, in one step."""
        edited = self.config.read_text().replace("{keys: [", f"{{keys: [{{name: k{_digest(text)[:8]}, key: {text}}}, ")
        new = self.config.with_suffix(".new")
        new.write_text(edited)
        new.chmod(0o600)
        new.replace(self.config)

    @contextmanager
    def gateway(self, core: int | None) -> Iterator[Target]:
        """A gateway that serves all of it."""
        process = Process((GATEWAY, "serve", "--config", str(self.config)), self._folder / "log", core=core)
        try:
            port = int(process.wait_for(r"serving on http://127\.0\.0\.1:(\d+)", within=120))
            yield Target("gateway", port, process, f"/api/gguf/{self.deployments[0]}", _KEY)
        finally:
            process.stop()

    def _crowd(self, now: str) -> Iterator[tuple[str, str, str, str, str]]:
        for number in range(self.keys):
            yield f"key_{number}", f"k{number}", f"crowd-{number % _CROWD}", _digest(f"crowd {number}"), now

    def _write(self, text: str) -> None:
        self.config.write_text(_SERVER + text)
        self.config.chmod(0o600)

    def _command(self, *arguments: str) -> None:
        subprocess.run((GATEWAY, *arguments), check=True, capture_output=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
