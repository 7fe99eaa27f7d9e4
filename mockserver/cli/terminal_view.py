"""The terminal view: what the mock plays, what it is asked, and keys that change its state."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mockserver.core.state import State
from mockserver.engine.scheduling.slots import Slot
from mockserver.play.journal import ExchangeEnd, JournalEntry
from mockserver.server.mock_server import MockLlamaServer

_REFRESH_SECONDS = 0.2
_SLOTS_SHOWN = 8
_FIXED_LINES = 9  # all but slots, faults and requests
_KEYS = {
    "s": State.READY,
    "l": State.DEPLOYING,
    "r": State.RESTARTING,
    "p": State.PAUSED,
    "c": State.CRASHED,
    "h": State.HUNG,
    "z": State.SLEEPING,
}
_HELP = "s serve · l load · r restart · p pause · c crash · h hang · z sleep · q quit"
_STYLES = {State.READY: "bold green", State.PAUSED: "bold red", State.CRASHED: "bold red", State.HUNG: "bold red"}
_ENDINGS = {
    ExchangeEnd.RUNNING: "cyan",
    ExchangeEnd.FINISHED: "",
    ExchangeEnd.ABORTED: "yellow",
    ExchangeEnd.CUT: "red",
}


class NoTerminal(ValueError):
    """There is nothing to draw on, or no keys to read."""


@asynccontextmanager
async def shown(mock: MockLlamaServer, stopped: asyncio.Event) -> AsyncIterator[None]:
    """Show the mock for the time of the block; `q` sets `stopped`. The terminal is as it was afterwards.

    Raises NoTerminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminal("--tui needs a terminal: standard input and output are not both one.")
    with _keys_unbuffered(), Live(console=Console(), screen=True, auto_refresh=False) as live:
        drawing = asyncio.create_task(_draw(live, mock))
        loop, changes = asyncio.get_running_loop(), set[asyncio.Task[None]]()

        def on_key() -> None:
            key = os.read(sys.stdin.fileno(), 1).decode("latin-1").lower()
            if key in ("q", "", "\x04"):
                stopped.set()
            elif key in _KEYS:
                changes.add(change := asyncio.create_task(mock.set_state(_KEYS[key])))
                change.add_done_callback(changes.discard)

        loop.add_reader(sys.stdin.fileno(), on_key)
        try:
            yield
        finally:
            loop.remove_reader(sys.stdin.fileno())
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing


@contextmanager
def _keys_unbuffered() -> Iterator[None]:
    """Each key at once and without an echo; Ctrl-C stays a signal."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


async def _draw(live: Live, mock: MockLlamaServer) -> None:
    while True:
        live.update(view(mock, live.console.height), refresh=True)
        await asyncio.sleep(_REFRESH_SECONDS)


def view(mock: MockLlamaServer, height: int) -> RenderableType:
    """The mock as it is now, in at most `height` lines."""
    slots = mock.server_context.pool.slots[:_SLOTS_SHOWN]
    faults = [
        f"#{armed.id} {armed.fault.fault}, met {armed.played} times" for armed in mock.faults if not armed.is_spent
    ]
    room = max(height - _FIXED_LINES - len(slots), 1)
    return Group(
        _header(mock),
        Rule(style="dim"),
        _slots(slots),
        _line("queue", f"{mock.server_context.pool.deferred} waiting"),
        _line("faults", " · ".join(faults) or "none armed"),
        Rule(style="dim"),
        _requests(mock.requests, room),
        Text(_HELP, style="reverse", no_wrap=True, overflow="ellipsis"),
    )


def _line(name: str, words: str) -> Text:
    return Text.assemble((f"{name:<8}", "dim"), words, no_wrap=True, overflow="ellipsis")


def _header(mock: MockLlamaServer) -> Text:
    state = mock.describe()
    return Text.assemble(
        (f"{mock.options.model_name} ", "bold"),
        (f" {mock.state} ", f"reverse {_STYLES.get(mock.state, 'bold yellow')}"),
        f" {state['since_seconds']:.0f} s",
        (f"  {mock.phase}", "dim"),
        f"\n{mock.url}",
        (f"  control {mock.control_url}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _slots(slots: list[Slot]) -> Table:
    table = Table.grid(padding=(0, 2))
    for slot in slots:
        doing = Text("busy", style="cyan") if slot.busy else Text("idle", style="dim")
        counts = f"prompt {slot.prompt_tokens}, cached {slot.cached_tokens}, generated {slot.decoded}"
        table.add_row(f"slot {slot.id}", doing, counts if slot.busy else Text(f"{len(slot.cache)} in cache", "dim"))
    return table


def _requests(entries: list[JournalEntry], room: int) -> RenderableType:
    """Those under way first, then the newest that ended."""
    running = [entry for entry in entries if entry.ended is ExchangeEnd.RUNNING]
    ended = [entry for entry in reversed(entries) if entry.ended is not ExchangeEnd.RUNNING]
    if not entries:
        return Text("no request yet", style="dim")
    table = Table.grid(padding=(0, 2), expand=True)
    for ratio in (None, 1, None, None):
        table.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
    for one in (running + ended)[:room]:
        how = f"running, {one.elapsed_ms() / 1000:.1f} s" if one.ended is ExchangeEnd.RUNNING else one.how
        style = _ENDINGS[one.ended]
        table.add_row(f"#{one.id}", f"{one.method} {one.path}", str(one.status or "–"), Text(how, style))
    return table
