"""A gateway in a process of its own, started the way the command line starts it, and looked at from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fork_server import ForkedProcess, fork_server
from tests.harness.sockets.wire_client import Response, WireClient, request

COMMAND = (str(Path(sys.executable).with_name("gguf-gateway")), "serve")
_CONNECTED = {"01", "04", "05", "08"}  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT (the kernel's tcp_states.h)


class GatewayLog:
    """What the process writes to standard error and output, line by line as it comes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._ended = False

    def follow(self, output: TextIO) -> None:
        """Read until the process closes its end."""
        with output as stream:
            for line in stream:
                with self._grown:
                    self.lines.append(line.rstrip("\n"))
                    self._grown.notify_all()
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def wait_for(self, pattern: str, start: int = 0) -> re.Match[str]:
        """The first match from line `start` on, as soon as it is written. Fails when patience, or the log, is over."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._find(pattern, start) is not None, PATIENCE)
            found = self._find(pattern, start)
        assert found is not None, f"no {pattern!r} in the log:\n" + "\n".join(self.lines[start:][-30:])
        return found

    def says(self, pattern: str) -> bool:
        """Whether a line matches by now."""
        with self._grown:
            return self._find(pattern, 0) is not None

    def wait_for_any(self, pattern: str) -> bool:
        """Wait until a line matches or the log is over; whether one matches."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._find(pattern, 0) is not None, PATIENCE)
            return self._find(pattern, 0) is not None

    def wait_for_end(self) -> None:
        """Wait until the process can write nothing more."""
        with self._grown:
            self._grown.wait_for(lambda: self._ended, PATIENCE)

    def since(self, line: int) -> str:
        """The text from a line on."""
        return "\n".join(self.lines[line:])

    def _find(self, pattern: str, start: int) -> re.Match[str] | None:
        return next((found for line in self.lines[start:] if (found := re.search(pattern, line))), None)


@dataclass(frozen=True)
class Descriptors:
    """Open file descriptors of a process, by what they are."""

    clients: int
    upstreams: int
    others: int


class GatewayProcess:
    """`gguf-gateway serve --config FILE`. The port is read from its log; give `port: 0` in the configuration.

    `prefix` is a command that runs it, like `prlimit --nofile=64`. It ends with this process, however that ends.
    With `forked=False` it is the command itself: where something has to be there before Python begins.
    """

    def __init__(
        self,
        config: Path,
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        *,
        forked: bool = True,
    ) -> None:
        self.config = config
        self.log = GatewayLog()
        self.clients: list[WireClient] = []
        self.responses: list[Response] = []
        self.port = 0
        given, stdin = os.pipe()
        self._stdin: int | None = stdin  # None once it is closed
        output, written = os.pipe()
        options = ("--config", str(config), "--stop-with-stdin", *arguments)
        start = _fork if forked else partial(_execute, prefix)
        self._process = start(
            options,
            {**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
            config.parent,
            (given, written, written),
        )
        for theirs in (given, written):
            os.close(theirs)
        text = os.fdopen(output, encoding="utf-8", errors="backslashreplace")
        threading.Thread(target=self.log.follow, args=(text,), daemon=True).start()

    def wait_until_serving(self) -> "GatewayProcess":
        """Return once it accepts connections. Fails with its log if it does not."""
        try:
            self.port = int(self.log.wait_for(r"serving on http://\S+:(\d+)")[1])
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise
        return self

    def settles(self) -> bool:
        """Whether it serves in the end; False if it refuses to start."""
        serves = self.log.wait_for_any(r"serving on http")
        if serves:
            self.wait_until_serving()
        return serves

    # --- talking to it

    def connect(self, patience: float = PATIENCE) -> WireClient:
        """A new connection."""
        client = WireClient(self.port, patience)
        self.clients.append(client)
        return client

    def ask(self, data: bytes, *, to_head: bool = False, patience: float = PATIENCE) -> Response:
        """One request on a connection of its own, and its answer."""
        with self.connect(patience) as client:
            response = client.ask(data, to_head=to_head)
        self.responses.append(response)
        return response

    def wait_until_read(self, client: WireClient) -> None:
        """Wait until it has taken all that a client of it has sent, and got round to it."""
        wait_until(lambda: not self._unread(client), "it does not read")
        self.ask(request("/healthz", method="GET"))  # what it took before this, it has dealt with

    def wait_until_idle(self) -> None:
        """Wait until it does nothing for a while: all buffers on the way are full."""
        used, deadline = -1.0, time.monotonic() + PATIENCE
        while (now := self.cpu_seconds()) != used:
            assert time.monotonic() < deadline, "it is never idle"
            used = now
            time.sleep(0.3)  # no event tells that nothing happens

    def let_pass(self, seconds: float) -> None:
        """Return when so much time has passed, and the gateway has done what was due by then."""
        time.sleep(seconds)
        self.ask(request("/healthz", method="GET"))

    def is_behind(self, client: WireClient) -> bool:
        """Whether it leaves bytes of a client unread for a fifth of a second."""
        deadline = time.monotonic() + 0.2
        while self._unread(client):
            if time.monotonic() > deadline:
                return True
            time.sleep(0.002)  # no event tells of another process's socket
        return False

    def _unread(self, client: WireClient) -> int:
        """Bytes from a client that it has not read."""
        return self.unread(self.port, client.socket.getsockname()[1])

    def unread(self, its_port: int, other_port: int) -> int:
        """Bytes to one of its ports that lie in the kernel still, on this side or the other (proc(5): net/tcp)."""
        here, there = (f":{port:04X}" for port in (its_port, other_port))
        found = 0
        for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            waiting = int(fields[4].partition(":")[2], 16), int(fields[4].partition(":")[0], 16)
            if fields[1].endswith(here) and fields[2].endswith(there):
                found += waiting[0]
            elif fields[1].endswith(there) and fields[2].endswith(here):
                found += waiting[1]
        return found

    def mark_log(self) -> int:
        """The number of lines in the log when all that was asked so far has its line there."""
        name = f"mark-{len(self.log.lines)}-{os.urandom(4).hex()}"
        self.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-request-id: %b\r\n\r\n" % name.encode())
        self.log.wait_for(name)
        return 1 + next(number for number, line in enumerate(self.log.lines) if name in line)

    # --- looking at it

    def metrics(self) -> str:
        """What /metrics says."""
        return self.ask(request("/metrics", method="GET", host=f"127.0.0.1:{self.port}")).body.decode()

    def connections(self, deployment: str, state: str) -> int:
        """Connections to an upstream that are `in_use` or `idle`, or requests `waiting` for one, as it counts them."""
        line = f'gguf_upstream_connections{{deployment="{deployment}",state="{state}"}} '
        for text in self.metrics().splitlines():
            if text.startswith(line):
                return int(float(text.removeprefix(line)))
        return 0  # nobody has asked that deployment for anything yet

    def wait_until_waiting(self, number: int, deployment: str) -> None:
        """Wait until so many requests are in line for a connection to the upstream of a deployment."""
        wait_until(lambda: self.connections(deployment, "waiting") == number, what=f"never {number} in line")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def memory(self) -> int:
        """Resident memory in bytes."""
        return self._status("VmRSS") * 1024

    def data(self) -> int:
        """What a limit on its data (RLIMIT_DATA) counts, in bytes."""
        return self._status("VmData") * 1024

    def peak_memory(self) -> int:
        """The most resident memory since the start, or since `forget_peak`, in bytes."""
        return self._status("VmHWM") * 1024

    def forget_peak(self) -> None:
        """Begin to measure the peak anew (proc(5): clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """CPU time it has used so far, its own and the kernel's for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def count_descriptors(self) -> int:
        """How many file descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors(self) -> Descriptors:
        """What it has open: connections from clients, to upstreams, and the rest. Takes milliseconds."""
        targets = []
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                targets.append(os.readlink(entry.path))
            except FileNotFoundError:
                continue  # closed meanwhile
        connections = _connections(self.pid)
        ports = [connections[target] for target in targets if target in connections]
        clients = ports.count(self.port)
        return Descriptors(clients, len(ports) - clients, len(targets) - len(ports))

    def is_on_uvloop(self) -> bool:
        """Whether it has loaded uvloop, and so runs on it; on asyncio otherwise. Once it serves."""
        return "/uvloop/" in Path(f"/proc/{self.pid}/maps").read_text()

    def command_line(self) -> bytes:
        """Its arguments, as any user of the machine can see them."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    # --- ending it

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, within: float = PATIENCE) -> int:
        """The exit status, once it has ended and its log is complete. Raises TimeoutExpired."""
        status = self._process.wait(within)
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None
        self.log.wait_for_end()
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it if it still runs; the exit status."""
        for client in self.clients:
            client.close()
        if self.is_alive:
            self.send_signal(number)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self.wait()


def _fork(
    options: Sequence[str], environ: Mapping[str, str], folder: Path, streams: tuple[int, int, int]
) -> ForkedProcess:
    return fork_server().start((*COMMAND[1:], *options), environ, folder, streams)


def _execute(
    prefix: Sequence[str],
    options: Sequence[str],
    environ: Mapping[str, str],
    folder: Path,
    streams: tuple[int, int, int],
) -> "subprocess.Popen[bytes]":
    stdin, stdout, stderr = streams
    command = (*prefix, *COMMAND, *options)
    return subprocess.Popen(command, env=environ, cwd=folder, stdin=stdin, stdout=stdout, stderr=stderr)


def _connections(pid: int) -> dict[str, int]:
    """The connections of a process's network: `socket:[inode]` to local port, 0 for a Unix socket."""
    found = {}
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[5] == "03":  # connected
            found[f"socket:[{fields[6]}]"] = 0
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] in _CONNECTED:
                found[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    return found
