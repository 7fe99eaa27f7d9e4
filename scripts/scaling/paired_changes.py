"""How much longer a request takes because something was changed beside it, and how soon the change is in force.

In pairs of windows, each with the same work on the machine: in one of them the change is made in the gateway's
database, in the other in a copy of it that no gateway reads. What else the machine does falls on both alike.
"""

import asyncio
import http.client
import shutil
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gateway.cli.client.local_client import LocalClient, open_database
from gateway.team.models.keys import CreatedKey, KeyChange, NewKey
from scripts.benchmark.figures import percentile
from scripts.benchmark.process import StartError
from scripts.benchmark.targets import Target
from scripts.scaling.client import asking
from scripts.scaling.population import Population

_WINDOW = 1.2  # seconds from the beginning of a change: it is in force after one at the latest
_POLL_SECONDS = 0.01
_PATIENCE = 60.0
_PLAIN = "/v1/embeddings"


@dataclass(frozen=True)
class Demand:
    """What is demanded, in seconds."""

    in_force: float = 1.0
    longer: float = 0.01


DEMAND = Demand()


@dataclass(frozen=True)
class Pair:
    """The longest wait of a client in each window, and how long after the call the change was in force. Seconds."""

    with_change: float
    without: float
    in_force: float

    @property
    def longer(self) -> float:
        """What the change made of it; below 0 where the other window was worse."""
        return self.with_change - self.without


@dataclass(frozen=True)
class Pairs:
    """What was measured of one kind of change, with so many keys."""

    kind: str
    keys: int
    pairs: tuple[Pair, ...]

    def figures(self) -> dict[str, float]:
        """In seconds."""
        longer, in_force = [one.longer for one in self.pairs], [one.in_force for one in self.pairs]
        return {
            "in force, median": median(in_force),
            "in force, longest": max(in_force),
            "without, median": median(one.without for one in self.pairs),
            "with, median": median(one.with_change for one in self.pairs),
            "longer, median": median(longer),
            "longer, 90th": percentile(longer, 90),
            "longer, most": max(longer),
        }


@dataclass(frozen=True)
class Alternation:
    """Something that is changed there and back again. `statuses` are what a request gets after each."""

    kind: str
    there: Callable[[LocalClient], Awaitable[object]]
    back: Callable[[LocalClient], Awaitable[object]]
    statuses: tuple[int, int]
    asked: Target


@dataclass(frozen=True)
class _Window:
    begun: float
    over: float
    in_force: float  # 0 where nothing was waited for


async def measured(home: Population, target: Target, number: int, folder: Path, core: int | None) -> list[Pairs]:
    """So many pairs of each kind of change, by turns."""
    copy = folder / "beside.db"
    shutil.copy(home.database, copy)
    async with open_database(home.database) as ours, open_database(copy) as others:
        await asyncio.to_thread(_wait_for, target, 200)
        kinds = [await _key(ours, others, target), _deployment(home, target)]
        for one in kinds:
            await asyncio.to_thread(_wait_for, one.asked, 200)
        found: dict[str, list[tuple[_Window, _Window]]] = {one.kind: [] for one in kinds}
        with asking(target, folder, core) as waits:
            await asyncio.sleep(_WINDOW)
            for turn in range(number):
                for one in kinds:
                    found[one.kind].append(await _pair(one, turn, ours, others))
    if waits.failed:
        raise StartError(f"the client beside the changes met {waits.failed}")
    return [
        Pairs(kind, home.keys, tuple(_as_pair(with_it, without, waits.each) for with_it, without in windows))
        for kind, windows in found.items()
    ]


async def _key(ours: LocalClient, others: LocalClient, target: Target) -> Alternation:
    """A key that is switched off and on again."""
    new = NewKey(account="bench", name="changed")
    made: CreatedKey = await ours.perform("keys.create", request=new)
    theirs: CreatedKey = await others.perform("keys.create", request=new)
    ids = {id(ours): made.id, id(others): theirs.id}

    def switched(enabled: bool) -> Callable[[LocalClient], Awaitable[object]]:
        return lambda client: client.perform("keys.change", ids[id(client)], request=KeyChange(enabled=enabled))

    asked = Target("changed", target.port, None, target.base, made.key)
    return Alternation("a key is switched off or on", switched(False), switched(True), (401, 200), asked)


def _deployment(home: Population, target: Target) -> Alternation:
    """A deployment that is paused and resumed."""
    name = home.deployments[-1]
    asked = Target("changed", target.port, None, f"/api/gguf/{name}", target.key)
    return Alternation(
        "a deployment is paused or resumed",
        lambda client: client.perform("deployments.pause", name),
        lambda client: client.perform("deployments.resume", name),
        (503, 200),
        asked,
    )


async def _pair(one: Alternation, turn: int, ours: LocalClient, others: LocalClient) -> tuple[_Window, _Window]:
    """A window with the change, and one without; which comes first takes turns, as does there and back."""
    act, status = (one.there, one.statuses[0]) if turn % 2 == 0 else (one.back, one.statuses[1])
    windows: dict[bool, _Window] = {}
    for with_it in (True, False) if turn % 4 < 2 else (False, True):
        begun = time.monotonic()
        await act(ours if with_it else others)
        returned = time.monotonic()
        # In the window without the change, too, somebody asks until it is over: for a status that never comes.
        took = await asyncio.to_thread(_asked_until, one.asked, status if with_it else 0, begun + _WINDOW)
        windows[with_it] = _Window(begun, begun + _WINDOW, took - returned)
    return windows[True], windows[False]


def _asked_until(asked: Target, wanted: int, over: float) -> float:
    """Ask until the window is over; when a request was first answered so, or the window's end if none was."""
    first = None
    with closing(_answers(asked)) as answers:
        for at, status in answers:
            if status == wanted and first is None:
                first = at
            if at >= over and (first is not None or not wanted):
                break
    return over if first is None else first


def _wait_for(asked: Target, wanted: int) -> None:
    with closing(_answers(asked)) as answers:
        next(at for at, status in answers if status == wanted)


def _answers(asked: Target) -> Generator[tuple[float, int]]:
    """When each answer came, and its status. Raises StartError after a minute."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {asked.key}"}
    patience = time.monotonic() + _PATIENCE
    with closing(http.client.HTTPConnection("127.0.0.1", asked.port)) as connection:
        while time.monotonic() < patience:
            connection.request("POST", asked.base + _PLAIN, b"{}", headers)
            response = connection.getresponse()
            response.read()
            yield time.monotonic(), response.status
            time.sleep(_POLL_SECONDS)
    raise StartError("what was changed is not in force after a minute")


def _as_pair(with_it: _Window, without: _Window, waits: list[tuple[float, float]]) -> Pair:
    return Pair(_longest(with_it, waits), _longest(without, waits), with_it.in_force)


def _longest(window: _Window, waits: list[tuple[float, float]]) -> float:
    return max(wait for due, wait in waits if window.begun <= due < window.over)
