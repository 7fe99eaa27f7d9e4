"""The life of the process: it serves until it is told to stop, or crashes, and ends as llama-server does.

Mirrors tools/server/server.cpp (its signal handler and what follows it).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from mockserver.cli.standard_streams import flush, say
from mockserver.core.listening.port import Port
from mockserver.core.options import Options
from mockserver.core.state import Phase
from mockserver.server.mock_server import MockLlamaServer


def run(options: Options, port: Port, *, stop_with_stdin: bool, tui: bool) -> int:
    """Serve on the port until SIGTERM or SIGINT, the end of standard input, or a crash. Returns the exit code.

    Raises PortTaken for the control port, and ValueError for options that cannot be served.
    """
    return asyncio.run(_serve(MockLlamaServer(options, held=port), stop_with_stdin, tui))


async def _serve(mock: MockLlamaServer, stop_with_stdin: bool, tui: bool) -> int:
    """Run to the end. A signal lets the streams end as the real one does; all else cuts them."""
    told, cut = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, told)
    if stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _on_input, sys.stdin.fileno(), cut)
    await mock.start()
    try:
        say(f"srv    load_model: loading model '{mock.options.model_path}'")
        say(f"main: control is listening on {mock.control_url}")
        waiting = {Phase.LOADING: " (loading model)", Phase.DOWN: " (closed for now)"}.get(mock.phase, "")
        say(f"main: server is listening on {mock.url}{waiting}")
        code = await (_end_in_view(mock, told, cut) if tui else _end_of(mock, told, cut))
        was_loading = mock.phase is Phase.LOADING
        say("main: cleaning up before exit...")
        if told.is_set() and _drains(mock):
            await _first(mock.drain(), cut.wait())
    finally:
        await mock.stop()
    if was_loading:  # the real one handles signals only once it is loaded
        flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return code


def _drains(mock: MockLlamaServer) -> bool:
    """Whether its clients are waited for: those of a model, not those of a router."""
    return mock.phase is Phase.UP and mock.options.leaving == "polled" and not mock.options.router


async def _end_of(mock: MockLlamaServer, told: asyncio.Event, cut: asyncio.Event) -> int:
    """Wait until it is told to stop, 0, or crashes, its exit code."""
    return await _first(mock.wait_for_exit(), told.wait(), cut.wait()) or 0


async def _end_in_view(mock: MockLlamaServer, told: asyncio.Event, cut: asyncio.Event) -> int:
    """The same, with the terminal view until then."""
    from mockserver.cli.terminal_view import shown

    async with shown(mock, cut):
        return await _end_of(mock, told, cut)


async def _first(result: Coroutine[Any, Any, int | None], *others: Coroutine[Any, Any, object]) -> int | None:
    """Wait for the first of all to end; what it is if that is `result`."""
    wanted, rest = asyncio.create_task(result), [asyncio.create_task(other) for other in others]
    await asyncio.wait((wanted, *rest), return_when=asyncio.FIRST_COMPLETED)
    for task in (wanted, *rest):
        task.cancel()
    return wanted.result() if wanted.done() else None


def _on_input(pipe: int, stopped: asyncio.Event) -> None:
    """The end of a pipe: whoever held its other end is gone."""
    if not os.read(pipe, 4096):
        asyncio.get_running_loop().remove_reader(pipe)
        stopped.set()


def _on_signal(stopped: asyncio.Event) -> None:
    if stopped.is_set():
        say("Received second interrupt, terminating immediately.")
        flush()
        os._exit(1)
    stopped.set()
