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
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

_START_SECONDS = 60.0  # it takes half a second, but a test machine may be very busy
_FOLLOW_SECONDS = 60.0  # for the gateway to notice a new configuration; it takes a tenth
_STOP_SECONDS = 30.0
_DYING_SECONDS = 0.5
_POLL_SECONDS = 0.02
_LINES_KEPT = 1000
_OURS = "sandbox-"  # request ids of our own questions; their lines are left out of the log


class GatewayError(Exception):
    """The gateway did not start, did not follow, or died. One sentence, with the last words of its log."""


class GatewayProcess:
    """`gguf-gateway serve` on a free port of this machine. Ends with this process, however that ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._path = Path()
        self._revision = 0
        self._revision_key = "gw_sandbox_revision_" + secrets.token_hex(8)
        self._process: subprocess.Popen[str] | None = None
        self._listening = threading.Event()
        self._reader: threading.Thread | None = None
        self.url = ""
        self.log: deque[str] = deque(maxlen=_LINES_KEPT)

    def start(self, configuration: Mapping[str, Any]) -> None:
        """Start it and wait until it accepts connections. Raises GatewayError."""
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
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        if not self._listening.wait(_START_SECONDS) or not self.url:
            self.require_alive(_DYING_SECONDS)
            raise GatewayError(f"The gateway did not start within {_START_SECONDS:g} s. {self._last_words()}")

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
            raise GatewayError(f"The gateway exited with status {status}. {self._last_words()}")

    def configure(self, configuration: Mapping[str, Any], *, wait: bool = True) -> None:
        """Give it a new configuration, and return when it goes by that, unless `wait` is false. Raises GatewayError."""
        self._write(configuration)
        if not wait:
            return
        deadline = time.monotonic() + _FOLLOW_SECONDS
        mark = f"revision-{self._revision}"
        while self.ask("GET", f"/api/gguf/{mark}/v1/models", self._revision_key) == 404:
            if time.monotonic() > deadline:
                raise GatewayError(f"The gateway did not take its new configuration. {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def ask(self, method: str, path: str, key: str) -> int:
        """The status with which it answers an empty request. Raises GatewayError if it is not there."""
        self.require_alive()
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_FOLLOW_SECONDS)
        headers = {"x-api-key": key, "x-request-id": _OURS + secrets.token_hex(4)}
        try:
            connection.request(method, path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self.require_alive(_DYING_SECONDS)
            raise GatewayError(f"The gateway does not answer ({error}). {self._last_words()}") from error
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

    def _read_log(self, stream: IO[str] | None) -> None:
        if stream is None:
            return
        with stream:
            for line in stream:
                self._take_line(line.strip())
        self._listening.set()

    def _take_line(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            self.log.append(line)
            return
        message = str(entry.get("message", ""))
        if message.startswith("serving on "):
            self.url = message.removeprefix("serving on ").strip()
            self._listening.set()
        if not _is_ours(entry):
            self.log.append(_readable(entry, message))

    def _last_words(self) -> str:
        words = [line for line in list(self.log)[-3:] if line]
        return "Its log ends: " + " / ".join(words) if words else "It logged nothing."


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether a line is only about the sandbox's own questions and changes."""
    took_a_change = entry.get("logger") == "gateway.registry" and entry.get("level") == "info"
    return took_a_change or str(entry.get("id", "")).startswith(_OURS)


def _readable(entry: Mapping[str, Any], message: str) -> str:
    """A line of the JSON log for people."""
    at, level = str(entry.get("time", ""))[11:23], str(entry.get("level", ""))
    if message != "request":
        return f"{at} {level} {message}"
    where = f"{entry.get('deployment') or '-'} {entry.get('endpoint')}"
    why = entry.get("cause") or entry.get("reason") or ""
    return f"{at} {where} -> {entry.get('status')} {entry.get('ending')}{f' ({why})' if why else ''}"
