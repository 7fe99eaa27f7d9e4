"""The terminal view, in a terminal."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from rich.console import Console

from mockserver import MockLlamaServer
from mockserver.cli.terminal_view import view
from tests.harness.patience import PATIENCE

_COMMAND = (sys.executable, "-m", "mockserver", "--port", "0", "--alias", "demo", "--fault", "503 when.contains=x")


class Terminal:
    """The other side of a pseudo-terminal in which the view runs."""

    def __init__(self, ours: int, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._ours = ours
        self.said = ""

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """What is drawn from now on, until it matches."""
        deadline, drawn = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            if not select.select([self._ours], [], [], 0.2)[0]:
                continue
            drawn += os.read(self._ours, 65536).decode("utf-8", "replace")
            self.said += drawn[-65536:]
            if found := re.search(pattern, drawn):
                return found
        raise AssertionError(f"no {pattern!r} in {drawn[-3000:]!r}")


@contextmanager
def _terminal() -> Iterator[tuple[Terminal, int]]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen([*_COMMAND, "--tui"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    try:
        yield Terminal(ours, process), theirs
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


@pytest.mark.slow
def test_the_view_shows_the_state_obeys_keys_and_restores_the_terminal() -> None:
    with _terminal() as (terminal, theirs):
        before = termios.tcgetattr(theirs)
        url = terminal.wait_for(r"server is listening on (http://[\d.:]+)")[1]
        terminal.wait_for(r"(?s)demo.* ready .*slot 3 .*0 waiting.*#1 status, met 0 times.*no request yet.*q quit")
        urlopen(f"{url}/health", timeout=PATIENCE).close()
        terminal.wait_for(r"(?s)GET /health .*200 .*finished")
        terminal.press("p")
        terminal.wait_for(" paused ")
        with pytest.raises(OSError, match="refused"):
            urlopen(f"{url}/health", timeout=PATIENCE)
        terminal.press("s")
        terminal.wait_for(" ready ")
        urlopen(f"{url}/health", timeout=PATIENCE).close()
        terminal.press("q")
        terminal.wait_for(r"(?s)\x1b\[\?1049l.*cleaning up")  # back from the other screen
        assert terminal.process.wait(PATIENCE) == 0
        assert termios.tcgetattr(theirs) == before
        assert terminal.said.rfind("\x1b[?25h") > terminal.said.rfind("\x1b[?25l")  # the cursor is seen again


@pytest.mark.slow
def test_a_signal_leaves_the_terminal_as_it_was_too() -> None:
    with _terminal() as (terminal, theirs):
        before = termios.tcgetattr(theirs)
        terminal.wait_for("q quit")
        terminal.process.terminate()
        terminal.wait_for(r"\x1b\[\?1049l")
        assert terminal.process.wait(PATIENCE) == 0
        assert termios.tcgetattr(theirs) == before


@pytest.mark.slow
def test_without_a_terminal_it_says_so() -> None:
    run = subprocess.run(
        [*_COMMAND, "--tui"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 1
    assert run.stderr == "Error: --tui needs a terminal: standard input and output are not both one.\n"


async def test_the_view_says_that_an_idle_mock_sleeps() -> None:
    drawn = io.StringIO()
    console = Console(width=80, file=drawn)
    async with MockLlamaServer(clock="virtual", sleep_idle_seconds=5) as mock:
        for _ in range(2):
            console.print(view(mock, 24))
            await mock.advance(5)
    assert drawn.getvalue().index("mock  ready  0 s  up") < drawn.getvalue().index("mock  sleeping  0 s  up")
