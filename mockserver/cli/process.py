"""The life of the process: it serves until it is told to stop, or crashes, and ends as llama-server does."""

import asyncio
import os
import signal
import sys

from mockserver.cli.standard_streams import flush
from mockserver.core.options import Options
from mockserver.core.port import Port
from mockserver.core.state import Phase
from mockserver.server.mock_server import MockLlamaServer


def run(options: Options, port: Port, *, stop_with_stdin: bool, tui: bool) -> int:
    """Serve on the port until SIGTERM or SIGINT, the end of standard input, or a crash. Returns the exit code.

    Raises PortTaken for the control port, and ValueError for options that cannot be served.
    """
    return asyncio.run(_serve(MockLlamaServer(options, held=port), stop_with_stdin, tui))


async def _serve(mock: MockLlamaServer, stop_with_stdin: bool, tui: bool) -> int:
    """Run to the end; then cut the streams, as the real one does."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stopped)
    if stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_input, sys.stdin.fileno(), stopped)
    await mock.start()
    try:
        _say(f"srv    load_model: loading model '{mock.options.model_path}'")
        _say(f"main: control is listening on {mock.control_url}")
        waiting = {Phase.LOADING: " (loading model)", Phase.DOWN: " (closed for now)"}.get(mock.phase, "")
        _say(f"main: server is listening on {mock.url}{waiting}")
        code = await (_end_in_view(mock, stopped) if tui else _end_of(mock, stopped))
        was_loading = mock.phase is Phase.LOADING
        _say("main: cleaning up before exit...")
    finally:
        await mock.stop()
    if was_loading:  # the real one handles signals only once it is loaded
        flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return code


async def _end_of(mock: MockLlamaServer, stopped: asyncio.Event) -> int:
    """Wait until it is told to stop, 0, or crashes, its exit code."""
    crash, stop = asyncio.create_task(mock.wait_for_exit()), asyncio.create_task(stopped.wait())
    await asyncio.wait((crash, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    return crash.result() if crash.done() else 0


async def _end_in_view(mock: MockLlamaServer, stopped: asyncio.Event) -> int:
    """The same, with the terminal view until then."""
    from mockserver.cli.terminal_view import shown

    async with shown(mock, stopped):
        return await _end_of(mock, stopped)


def _on_input(pipe: int, stopped: asyncio.Event) -> None:
    """The end of a pipe: whoever held its other end is gone."""
    if not os.read(pipe, 4096):
        asyncio.get_running_loop().remove_reader(pipe)
        stopped.set()


def _on_signal(stopped: asyncio.Event) -> None:
    if stopped.is_set():
        _say("Received second interrupt, terminating immediately.")
        flush()
        os._exit(1)
    stopped.set()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
