"""pip as a child: its words in a log, read line by line, and nothing of it left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.building.errors import BuildError

_SAYS = ("ERROR: ", "error: ")
_COMPILER_SAYS = ("CMake Error", " error: ", "fatal error: ")


def run_pip(
    arguments: Sequence[str], log: Path, told: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> None:
    """Run pip to its end; `told` is called with each line. Raises BuildError with the word that tells most."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--timeout", "15", "--retries", "2"]
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # compilers are its grandchildren: all of them end with it
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                kept.write(line)
                told(line.strip())
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise BuildError(f"pip failed: {_telling(log)} All it said: {log}")


def _telling(log: Path) -> str:
    """The compiler's first complaint, or else pip's last."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines()]
    complaints = [line for line in lines if any(word in line for word in _COMPILER_SAYS)]
    said = complaints[:1] or [line for line in lines if line.startswith(_SAYS)][-1:] or ["it said nothing"]
    return f"{said[0].removeprefix('ERROR: ').rstrip('.')}."
