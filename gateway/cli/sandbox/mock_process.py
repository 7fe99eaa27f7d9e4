"""One `mock-llama-server` of the sandbox, a process of its own. It ends with us even if we are killed."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

_STOP_SECONDS = 1.0
_CONTROL, _SERVER = "control is listening on ", "server is listening on "
_MOCK = (sys.executable, "-m", "mockserver")
_log = logging.getLogger("gateway.sandbox")


class SandboxError(Exception):
    """The sandbox cannot start. The message is one sentence for a terminal."""


class MockProcess:
    """The mock of the deployment `name`. `url` and `control_url` are known once it has started.

    What it says is read for as long as it runs; what it says on standard error goes to the log.
    """

    def __init__(self, name: str, options: Sequence[str], program: Sequence[str] = _MOCK) -> None:
        self.name = name
        self.url = self.control_url = ""
        self._command = [*program, "--port=0", *options, "--stop-with-stdin"]
        self._process: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start it, and return once it is there. Raises SandboxError with its own words if it is not."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,  # its end is what tells the mock that we are gone
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is ours to handle: mocks end after the gateway
            env=_environment(),
        )
        if process.stdout is None or process.stderr is None:
            raise SandboxError("A mock llama-server has no output to read.")
        async for line in process.stdout:
            self.control_url = _after(_CONTROL, line) or self.control_url
            self.url = _after(_SERVER, line) or self.url
            if self.url:
                self._reading = [
                    asyncio.create_task(self._read(process.stdout, logging.DEBUG)),
                    asyncio.create_task(self._read(process.stderr, logging.WARNING)),
                ]
                return
        said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        why = said[-1].removeprefix("Error: ") if said else "it said nothing"
        raise SandboxError(f"The mock of {self.name} did not start: {why}")

    async def _read(self, pipe: asyncio.StreamReader, level: int) -> None:
        """Read on to the end: a pipe that nobody reads is full one day, and whoever writes to it stands still."""
        while line := await _line(pipe):
            _log.log(level, "the mock of %s: %s", self.name, line.decode(errors="replace").rstrip())

    async def stop(self) -> None:
        """Terminate it at once, whoever it serves; kill it if that does not help. Read what it has said to the end."""
        if self._process is not None and self._process.returncode is None:
            await _end(self._process)
        if self._reading:
            await asyncio.wait(self._reading, timeout=_STOP_SECONDS)


def _environment() -> dict[str, str]:
    """Ours, without the variables that would set the options of any llama-server: its key, its host and the like."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
    return {**ours, "PYTHONUNBUFFERED": "1"}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()  # the signal alone would have it wait for its streams
    for send in (process.terminate, process.kill):
        with suppress(ProcessLookupError):  # it has ended
            send()
        if await _is_over(process):
            break


async def _is_over(process: asyncio.subprocess.Process) -> bool:
    """Whether it ends in a second, and nobody has its output open any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
            return True
    return False


async def _line(pipe: asyncio.StreamReader) -> bytes:
    """The next line, or as much of it as the reader holds; empty at the end."""
    try:
        return await pipe.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await pipe.read(error.consumed)


def _after(words: str, line: bytes) -> str:
    """The word behind `words`; empty if they are not in the line."""
    rest = line.decode(errors="replace").partition(words)[2].split()
    return rest[0] if rest else ""
