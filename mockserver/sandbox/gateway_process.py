"""A gateway in a process of its own: steered by its configuration file, heard by its log, never left behind."""

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mockserver.core.clock import NotInTime
from mockserver.core.listening.forked_children import keep_from_children
from mockserver.sandbox.gateway_log import OURS, GatewayLog

_START_SECONDS = 60.0  # it takes half a second, but a test machine may be very busy
_FOLLOW_SECONDS = 60.0  # for the gateway to notice a new configuration; it takes a tenth
_STOP_SECONDS = 30.0
_DYING_SECONDS = 0.5
_POLL_SECONDS = 0.02
_READ_SECONDS = 5.0  # for its log to arrive; it takes milliseconds


class GatewayError(Exception):
    """The gateway did not start, or died. One sentence, with the last words of its log."""

    __module__ = "mockserver.sandbox"  # as its users import it, and reports show it


class GatewayProcess:
    """`gguf-gateway serve` on a free port of this machine. Ends with this process, however that ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._path = Path()
        self._revision = 0
        self._revision_key = "gw_sandbox_revision_" + secrets.token_hex(8)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.log = GatewayLog()
        keep_from_children(self)

    def start(self, configuration: Mapping[str, Any]) -> None:
        """Start it and wait until it accepts connections. Raises GatewayError, and NotInTime if it takes too long."""
        if shadow := _shadow():
            raise GatewayError(f"The gateway cannot start: PYTHONPATH leads Python to another `gateway`, {shadow}.")
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-sandbox-"))
        self._path = Path(folder, "gateway.yaml")
        self._write(configuration)
        self._process = subprocess.Popen(  # noqa: S603  a fixed command; the path is ours
            [sys.executable, "-m", "gateway", "serve", "--config", str(self._path), "--stop-with-stdin"],
            cwd=folder,  # and not the caller's, where a package named `gateway` may lie
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is the caller's to handle
        )
        self._reader = threading.Thread(target=self.log.read, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        if not self.log.listening.wait(_START_SECONDS) or not self.log.url:
            self.require_alive(_DYING_SECONDS)
            raise NotInTime(f"The gateway did not start within {_START_SECONDS:g} s. {self.log.last_words()}")

    def stop(self) -> None:
        """End it, and what it left on disk. Does nothing the second time."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if self._reader is not None:
            self._reader.join(_STOP_SECONDS)
        self._stack.close()

    def descriptors(self) -> Iterator[int]:
        """The number of the pipe whose end ends it."""
        if self._process is not None and self._process.stdin is not None:
            yield self._process.stdin.fileno()

    @property
    def url(self) -> str:
        """Where it listens; empty before it does."""
        return self.log.url

    @property
    def pid(self) -> int:
        """Its process id. Raises GatewayError if it does not run."""
        return self._running().pid

    def require_alive(self, patience: float = 0.0) -> None:
        """Raise GatewayError if it has died, or dies within `patience` seconds."""
        with suppress(subprocess.TimeoutExpired):
            status = self._running().wait(patience)
            if self._reader is not None:
                self._reader.join(1)
            raise GatewayError(f"The gateway exited with status {status}. {self.log.last_words()}")

    def configure(self, configuration: Mapping[str, Any], *, wait: bool = True) -> None:
        """Give it a new configuration, and return when it goes by that, unless `wait` is false.

        Raises GatewayError, and NotInTime if it takes too long.
        """
        self._running()
        self._write(configuration)
        if not wait:
            return
        deadline = time.monotonic() + _FOLLOW_SECONDS
        mark = f"revision-{self._revision}"
        while self.ask("GET", f"/api/gguf/{mark}/v1/models", self._revision_key) == 404:
            if time.monotonic() > deadline:
                raise NotInTime(f"The gateway did not take its new configuration. {self.log.last_words()}")
            time.sleep(_POLL_SECONDS)

    def read_log_to_end(self) -> None:
        """Return when the log has arrived as far as it goes, or the gateway is gone."""
        request_id = OURS + secrets.token_hex(8)
        read = self.log.line_of(request_id)
        with suppress(GatewayError):
            self.ask("GET", "/healthz", "", request_id)
            read.wait(_READ_SECONDS)

    def ask(self, method: str, path: str, key: str, request_id: str = "") -> int:
        """The status with which it answers an empty request. Raises GatewayError if it is not there."""
        self.require_alive()
        address = urlsplit(self.log.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_FOLLOW_SECONDS)
        headers = {"x-request-id": request_id or OURS + secrets.token_hex(4), **({"x-api-key": key} if key else {})}
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self.require_alive(_DYING_SECONDS)
            raise GatewayError(f"The gateway does not answer ({error}). {self.log.last_words()}") from error
        finally:
            connection.close()

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise GatewayError("The sandbox is not running; use it inside its `with` block.")
        return self._process

    def _write(self, configuration: Mapping[str, Any]) -> None:
        """Replace the file whole. A deployment named after the revision shows which one is in force."""
        self._revision += 1
        marked = dict(configuration)
        marked["accounts"] = {
            **configuration["accounts"],
            "revision": {"keys": [{"name": "revision", "key": self._revision_key}]},
        }
        marked["deployments"] = {
            **configuration["deployments"],
            f"revision-{self._revision}": {"account": "revision", "upstream": "http://127.0.0.1:9", "status": "paused"},
        }
        draft = self._path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(marked, indent=1), encoding="utf-8")  # JSON is YAML
        draft.replace(self._path)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)  # look now; it would within half a second


def _shadow() -> Path | None:
    """The package that PYTHONPATH puts before the gateway, if it does: `python -m gateway` would run that."""
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    found = PathFinder.find_spec("gateway", places)
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found is not None else []
    return next((folder for folder in folders if not (folder / "__main__.py").exists()), None)
