"""The real llama-server of the sandbox, a process of its own. It ends with us even if we are killed."""

import asyncio
import contextlib
import os
import signal

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import RealServer

_STOP_SECONDS = 1.0
_LISTENS = b": listening on "
# It does not watch its standard input as a mock does, so a shell does that for it. Killed at once: there is nothing
# that it would have to save, and a stream under way keeps a llama-server that is only asked to end.
_TETHERED = """
exec 3<&0
"$@" </dev/null 3<&- & server=$!
(read -r nothing <&3; kill -9 $server 2>/dev/null) & guard=$!
wait $server
kill -9 $guard
"""
# Half of the cores: llama.cpp's threads spin, and starve each other where the sandbox wants a core, too.
_OPTIONS = ("--host", "127.0.0.1", "--port", "0", "--ctx-size", "8192", "--parallel", "2", "--offline")
# As the mock's. The model's own template tells it who it is, and it answers worse for that.
_TEMPLATE = ("--chat-template", "chatml")


class RealProcess:
    """The llama-server of the deployment `name`. `url` is known once it has started."""

    def __init__(self, name: str, real: RealServer) -> None:
        self.name = name
        self.url = ""
        threads = max(1, (os.cpu_count() or 1) // 2)
        model = ("--model", str(real.model), "--alias", name, "--threads", str(threads))
        self._command = (str(real.binary), *model, *_OPTIONS, *_TEMPLATE)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and return once its model is loaded. Raises SandboxError with its own words if it is not."""
        self._process = process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _TETHERED, "llama-server", *self._command),
            stdin=asyncio.subprocess.PIPE,  # its end is what tells the shell that we are gone
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is ours to handle: it ends after the gateway
        )
        if process.stderr is None:
            raise SandboxError("The real llama-server has no output to read.")
        last = b"nothing"
        async for line in process.stderr:
            last = line.strip() or last
            if _LISTENS in line:
                self.url = line.partition(_LISTENS)[2].decode().strip()
                self._reading = asyncio.create_task(_read_on(process.stderr))
                return
        said = last.decode(errors="replace")
        raise SandboxError(f"The real llama-server of {self.name} did not start. The last it said: {said}")

    async def stop(self) -> None:
        """End it."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if self._reading is not None:
            await self._reading


async def _read_on(log: asyncio.StreamReader) -> None:
    """Nobody wants its log, but a pipe that is full would stop it."""
    while await log.read(65536):
        pass
