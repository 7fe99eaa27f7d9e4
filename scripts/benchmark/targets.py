"""What is driven: the backend itself, and in front of it nginx, the bare relay, the gateway."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.process import GATEWAY, Process, keeping_bytecode

DEPLOYMENT = "bench"

# nginx at its leanest: one process, no log, connections to the backend kept.
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx_body;
    proxy_temp_path {folder}/nginx_proxy;
    fastcgi_temp_path {folder}/nginx_fastcgi;
    uwsgi_temp_path {folder}/nginx_uwsgi;
    scgi_temp_path {folder}/nginx_scgi;
    client_max_body_size 64m;
    keepalive_requests 1000000000;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""

# Every feature: ownership, probes, a log line for each request, metrics, limits; keys and deployments in a database.
_SERVER = """
server:
  port: 0
  workers: {workers}
  limits: {{connections: 16384, waiting: 1024}}
  log: {{format: json, level: info}}
  status_page: everyone
  metrics: everyone
"""
_DATABASE = "database: sqlite+aiosqlite:///gateway.db\n"
_YAML = """
accounts: {{bench: {{keys: [{{name: bench, key: {key}}}]}}}}
deployments: {{bench: {{account: bench, upstream: "http://127.0.0.1:{backend}"}}}}
"""


@dataclass(frozen=True)
class Target:
    """Where requests go, with which key. `process` is what is measured there; the backend alone has none."""

    name: str
    port: int
    process: Process | None = None
    base: str = ""
    key: str | None = None

    @property
    def measured(self) -> Process:
        """The process between client and backend. Raises ValueError where there is none."""
        if self.process is None:
            raise ValueError(f"nothing is measured at {self.name}")
        return self.process


def has_nginx() -> bool:
    """Whether there is an nginx to compare with."""
    return shutil.which("nginx", path=_path()) is not None


@contextlib.contextmanager
def backend(folder: Path, core: int | None) -> Iterator[Target]:
    """The backend, to be asked directly."""
    process = Process((sys.executable, "-m", "scripts.benchmark.backend"), folder / "backend.log", core=core)
    try:
        yield Target("direct", int(process.wait_for(r"port (\d+)")))
    finally:
        process.stop()


@contextlib.contextmanager
def nginx(folder: Path, behind: Target, core: int | None) -> Iterator[Target]:
    """One nginx process before the backend."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, backend=behind.port, port=port), encoding="utf-8")
    command = (shutil.which("nginx", path=_path()) or "nginx", "-c", str(config), "-p", str(folder))
    process = Process(command, folder / "nginx.out", core=core)
    try:
        process.wait_until_connectable(port)
        yield Target("nginx", port, process)
    finally:
        process.stop()


@contextlib.contextmanager
def bare_relay(folder: Path, behind: Target, core: int | None) -> Iterator[Target]:
    """The bare relay before the backend: the floor of what relaying costs in Python, in this very interpreter."""
    key, base = f"gw_{secrets.token_hex(24)}", f"/api/gguf/{DEPLOYMENT}"
    command = (sys.executable, "-m", "scripts.benchmark.bare_relay", "--upstream", str(behind.port), "--base", base)
    process = Process((*command, "--key", key), folder / "bare.log", core=core)
    try:
        yield Target("bare", int(process.wait_for(r"port (\d+)")), process, base, key)
    finally:
        process.stop()


class GatewayHome:
    """A folder with a configuration in it: one account, one key, one deployment. Gateways are started from it."""

    def __init__(self, folder: Path, behind: Target) -> None:
        self._folder = folder
        self._backend = behind.port
        self._log_number = 0
        self.key = f"gw_{secrets.token_hex(24)}"
        self.config = folder / "gateway.yaml"
        self.environ = keeping_bytecode(folder / "bytecode")

    def configure(self, workers: int = 1, *, in_yaml: bool = False) -> None:
        """Write the configuration file; `in_yaml`: key and deployment stand in there, and there is no database."""
        self._write(workers, _YAML.format(key=self.key, backend=self._backend))
        if not in_yaml:
            database = self._folder / "gateway.db"
            if not database.exists():
                command = (GATEWAY, "import", str(self.config), "--database", str(database))
                subprocess.run(command, check=True, capture_output=True)
            self._write(workers, _DATABASE)

    def _write(self, workers: int, source: str) -> None:
        self.config.write_text(_SERVER.format(workers=workers) + source, encoding="utf-8")
        self.config.chmod(0o600)

    @contextlib.contextmanager
    def gateway(self, core: int | None, name: str = "gateway") -> Iterator[Target]:
        """A gateway, started as anybody would; its log goes to a file."""
        self._log_number += 1
        said = self._folder / f"{name}-{self._log_number}.log"
        command = (GATEWAY, "serve", "--config", str(self.config))
        process = Process(command, said, core=core, environ=self.environ)
        try:
            port = int(process.wait_for(r"serving on http://127\.0\.0\.1:(\d+)"))
            yield Target(name, port, process, f"/api/gguf/{DEPLOYMENT}", self.key)
        finally:
            process.stop()


def _path() -> str:
    """Where to look for nginx: Debian keeps it where only root looks."""
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
