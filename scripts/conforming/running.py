"""Running the suite with pytest-xdist, each worker on a port of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO
from xml.etree import ElementTree

from gateway.cli.sandbox.real_server import RealServer, cache
from scripts.conforming.suite import SuiteError

_TEST_SECONDS = 30
_RUN_SECONDS = 1800.0
REAL_SECONDS = 3600.0
"""A real server takes a second or two to start and to stop, and the suite starts one for each test."""
_SLOTS = 400
_DONE = re.compile(r"\[gw\d+\] \[ *\d+%\] [A-Z]+ ")

_REAL = """#!{python}
import os, sys
given, kept = sys.argv[1:], []
while given:
    name = given.pop(0)
    if name in ("--hf-repo", "--hf-file", "--model"):
        given.pop(0)
        kept += ["--model", {model!r}] if "--model" not in kept else []
    else:
        kept.append(name)
os.execv({binary!r}, [{binary!r}, *{quick!r}, *kept])
"""
_QUICK = ("--threads", "1", "--no-warmup", "--fit", "off")  # to start in half the time; what the suite says goes before


@dataclass(frozen=True)
class Runner:
    """The suite, the Python that runs it, and the binary under test."""

    suite: Path
    python: Path
    binary: Path
    most_seconds: float = _RUN_SECONDS

    def collect(self) -> list[str]:
        """Names of all tests that are not slow, those of modules that are not run among them."""
        command = [str(self.python), "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--collect-only"]
        done = subprocess.run(command, cwd=self.suite, capture_output=True, text=True, timeout=120, check=False)
        names = [line for line in done.stdout.splitlines() if "::" in line]
        if done.returncode or not names:
            raise SuiteError(f"The suite could not be collected: {(done.stderr or done.stdout).strip()[-300:]}")
        return names

    def run(self, names: Sequence[str], workers: int, told: Callable[[], None]) -> dict[str, str]:
        """Outcome by test name: passed, failed or skipped. `told` is called as each test ends."""
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "report.xml"
            options = ["--timeout", str(_TEST_SECONDS), "-o", "timeout_func_only=true", f"--junitxml={report}"]
            options += [f"--tx=popen//id=gw{slot}" for slot in free_slots(workers)]
            command = [str(self.python), "-u", "-m", "pytest", "-v", "-m", "not slow", "-p", "no:cacheprovider"]
            with log_path().open("a", buffering=1) as log:
                self._play([*command, "--dist=worksteal", "--tb=short", *options, *names], log, told)
            if not report.exists():
                raise SuiteError(f"The suite did not run; see {log_path()}.")
            return dict(_outcomes(report))

    def _play(self, command: Sequence[str], log: IO[str], told: Callable[[], None]) -> None:
        with (
            subprocess.Popen(
                command,
                cwd=self.suite,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ) as process,
            _bounded(process, self.most_seconds),
        ):
            for line in process.stdout or ():
                log.write(line)
                if _DONE.match(line):
                    told()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "LLAMA_SERVER_BIN_PATH": str(self.binary),
            "LLAMA_CACHE": str(cache() / "models"),
            "MOCK_LLAMA_SERVER_STRICT": "1",
            "MOCK_LLAMA_SERVER_LOAD_SECONDS": "0.2",
        }


def log_path() -> Path:
    """What pytest says while the suite runs."""
    return cache() / "suite.log"


def mock_path() -> Path:
    """`mock-llama-server` of this environment; SuiteError if it does not start."""
    path = Path(sys.executable).with_name("mock-llama-server")
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SuiteError(f"The mock does not start: {error}") from error
    if done.returncode:
        raise SuiteError(f"The mock does not start: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return path


def real_path(real: RealServer) -> Path:
    """A script that starts the real llama-server, with its one model whichever the suite asks for."""
    script = cache() / "real-for-the-suite.py"
    script.write_text(_REAL.format(python=sys.executable, binary=str(real.binary), model=str(real.model), quick=_QUICK))
    script.chmod(0o755)
    return script


def free_slots(count: int) -> list[int]:
    """Numbers for workers; the suite gives number n the port 8080 + 10 n, and these ports are free."""
    first = os.getpid()  # so that two runs at a time do not ask for the same ones
    free = [slot for slot in ((first + step) % _SLOTS for step in range(_SLOTS)) if _is_free(8080 + 10 * slot)]
    if len(free) < count:
        raise SuiteError(f"The suite needs {count} free ports among 8080, 8090, ... {8080 + 10 * (_SLOTS - 1)}.")
    return free[:count]


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  nothing is listened to: a server on any address is in the way
        except OSError:
            return False
    return True


@contextmanager
def _bounded(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """End the process and all it started when this takes too long, or is left early."""
    late = Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    try:
        yield
        if process.wait() == -signal.SIGKILL:
            raise SuiteError(f"The suite took more than {seconds:.0f} seconds and was ended; see {log_path()}.")
    finally:
        late.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _outcomes(report: Path) -> Iterator[tuple[str, str]]:
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  written by pytest on this machine
        module = case.get("classname", "").replace(".", "/")
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        yield f"{module}.py::{case.get('name')}", outcome
