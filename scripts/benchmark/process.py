"""A process that is measured: its CPU time, memory and descriptors, children included, read from /proc."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

GATEWAY = str(Path(sys.executable).with_name("gguf-gateway"))
"""The command of this environment."""

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class StartError(Exception):
    """A process did not come up; one sentence, with the end of what it said."""


def pinned(core: int | None) -> tuple[str, ...]:
    """The prefix of a command that keeps it on one core, and ends it when its parent ends; where installed."""
    prefix: tuple[str, ...] = ()
    if shutil.which("setpriv"):
        prefix += ("setpriv", "--pdeathsig", "TERM")
    if core is not None and shutil.which("taskset"):
        prefix += ("taskset", "-c", str(core))
    return prefix


def keeping_bytecode(folder: Path) -> dict[str, str]:
    """The environment of a Python process that keeps compiled modules here, as an installed one does beside them.

    Its first run compiles them, which takes many times as long as importing them.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}


class Process:
    """A command that runs from here to `stop`, its output in the file `said`. `core` is where it is kept, if any."""

    def __init__(
        self,
        command: Sequence[str],
        said: Path,
        *,
        core: int | None = None,
        environ: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        self.said = said
        self.started = time.monotonic()
        self._name = Path(command[0]).name
        with said.open("wb") as output:
            self._process = subprocess.Popen(
                (*pinned(core), *command),
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
            )

    @property
    def pid(self) -> int:
        """Its id; that of the first, if it has children."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait until it ends by itself; its exit status."""
        return self._process.wait()

    def wait_for(self, pattern: str, within: float = _START_SECONDS) -> str:
        """The first group of the first match in what it has said. Raises StartError when it ends, or is late."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            alive = self.is_alive
            found = re.search(pattern, self.text())
            if found is not None:
                return found[1]
            if not alive:
                break
            time.sleep(0.002)  # it writes to a file, whose growth is no event
        said = self.text().strip().splitlines()
        raise StartError(f"{self._name} did not start: {said[-1] if said else 'it said nothing'}")

    def wait_until_connectable(self, port: int) -> None:
        """Return once it accepts connections. Raises StartError when it ends, or is late."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.is_alive:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.002)
        raise StartError(f"{self._name} accepts no connections: {self.text()[-300:]}")

    def text(self) -> str:
        """All it has said so far."""
        return self.said.read_text(encoding="utf-8", errors="replace")

    def cpu_seconds(self) -> float:
        """CPU time used so far, its own and the kernel's for it."""
        return sum(_cpu_seconds(pid) for pid in self._tree())

    def memory(self) -> int:
        """Resident memory in bytes."""
        return sum(_status(pid, "VmRSS") for pid in self._tree()) * 1024

    def peak_memory(self) -> int:
        """The most resident memory since the start or `forget_peak`, in bytes."""
        return sum(_status(pid, "VmHWM") for pid in self._tree()) * 1024

    def forget_peak(self) -> None:
        """Restart the measurement of the peak (proc(5): clear_refs)."""
        for pid in self._tree():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self._tree())

    def hang_up(self) -> None:
        """Send SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def end_input(self) -> None:
        """Close its standard input, which was given as a pipe."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> int:
        """Terminate it, and kill it if that does not help; its exit status."""
        if self.is_alive:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _tree(self) -> Iterator[int]:
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _cpu_seconds(pid: int) -> float:
    """By the clock of another process, its id as clock_getcpuclockid(3) has it: /proc/PID/stat counts in 10 ms."""
    return time.clock_gettime((~pid << 3) | 2)


def _status(pid: int, name: str) -> int:
    """A line of /proc/PID/status, in kB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found is not None else 0
