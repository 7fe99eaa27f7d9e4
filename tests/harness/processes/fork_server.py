"""`gguf-gateway` as a process, forked from one that has imported all it needs: importing takes most of a start."""

import atexit
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_SCRIPT = Path(__file__).with_name("fork_server_script.py")


class ForkedProcess:
    """A process of the fork server, used as a `subprocess.Popen`."""

    def __init__(self, told: int) -> None:
        self._told = os.fdopen(told, "rb", buffering=0)
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None while it runs; the negative number of the signal that killed it."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended. Raises TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._told, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("gguf-gateway", timeout or 0)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts commands, each with files of its own for its three streams. It ends with the process that made it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-P", str(_SCRIPT), str(theirs.fileno())), pass_fds=(theirs.fileno(),)
            )

    def start(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, streams: Sequence[IO[str] | int]
    ) -> ForkedProcess:
        """Start a command in a folder, with nothing but this environment."""
        order = {"arguments": [*arguments], "environ": dict(environ), "folder": str(folder)}
        reads, tells = os.pipe()
        descriptors = [stream if isinstance(stream, int) else stream.fileno() for stream in streams]
        socket.send_fds(self._orders, [json.dumps(order).encode()], [*descriptors, tells])
        os.close(tells)
        return ForkedProcess(reads)

    def run(
        self, arguments: tuple[str, ...], *, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        with ExitStack() as files:
            streams = [files.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
            streams[0].write(stdin)
            streams[0].seek(0)
            status = self.start(arguments, {**os.environ, **(environ or {})}, Path.cwd(), streams).wait()
            for stream in streams:
                stream.seek(0)
            return subprocess.CompletedProcess(arguments, status, *(stream.read() for stream in streams[1:]))

    def close(self) -> None:
        """End it: it starts nothing more."""
        self._orders.close()
        self._process.wait()


@functools.cache
def fork_server() -> ForkServer:
    """The one of this process."""
    server = ForkServer()
    atexit.register(server.close)
    return server
