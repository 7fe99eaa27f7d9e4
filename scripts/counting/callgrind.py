"""A Python process under callgrind, whose instructions are counted between two moments."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark.process import Process, keeping_bytecode

_START_SECONDS = 300.0
_CONTROL_SECONDS = 60.0


def is_installed() -> bool:
    """Whether instructions can be counted here."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


class CountedProcess:
    """Made by `counted`. `port` is where it listens."""

    def __init__(self, process: Process, port: int, out: Path) -> None:
        self.port = port
        self._process = process
        self._out = out
        self._dumps = 0

    def begin(self) -> None:
        """Count from now on: until then it ran four times as fast."""
        self._control("--instr=on")

    def instructions_of(self, act: Callable[[], None]) -> int:
        """How many instructions the process executes while `act` runs, those of the kernel not included."""
        self._dump()
        act()
        return self._dump()

    def _dump(self) -> int:
        """The instructions since the last dump."""
        self._control("--dump")
        self._dumps += 1
        text = self._out.with_suffix(f".{self._dumps}").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def _control(self, what: str) -> None:
        command = ("callgrind_control", what, str(self._process.pid))
        subprocess.run(command, check=True, capture_output=True, timeout=_CONTROL_SECONDS)


@contextmanager
def counted(module: str, options: Sequence[str], port: str) -> Iterator[CountedProcess]:
    """Run `python -m module` until the end of the block; `port` is a pattern that finds its port in what it says.

    It has run once before: compiling modules is no part of what is counted, and takes minutes under callgrind.
    Raises StartError.
    """
    with tempfile.TemporaryDirectory(prefix="gguf-count-") as name:
        folder = Path(name)
        environ = {"PYTHONHASHSEED": "0", **keeping_bytecode(_cache())}
        command = (sys.executable, "-m", module, *options)
        warming = Process(command, folder / "first", environ=environ)
        warming.wait_for(port)
        warming.stop()
        out = folder / "out"
        callgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--quiet")
        process = Process((*callgrind, *command), folder / "said", environ=environ)
        try:
            yield CountedProcess(process, int(process.wait_for(port, _START_SECONDS)), out)
        finally:
            process.stop()


def _cache() -> Path:
    """Where compiled modules are kept between runs."""
    return Path(tempfile.gettempdir()) / f"gguf-count-{os.getuid()}-{sysconfig.get_python_version()}"
