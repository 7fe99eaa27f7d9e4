"""A line that is full: for who goes before others in it, the last of these makes room."""

import asyncio
from dataclasses import replace

import pytest

from gateway.core.deployment import Deployment, Limits
from gateway.proxy.queue.deployment_line import BusyError, Claimant, DeploymentLine, Place
from tests.harness.lines import Workers, ask
from tests.harness.pools import SOMEBODY

LIMITED = Deployment("demo", "acme", "http://127.0.0.1:1", limits=Limits(connections=2, waiting=4))
SCRIPT = replace(SOMEBODY, key="script", is_batch=True, seconds=10.0)
PERSON = replace(SOMEBODY, key="person", seconds=10.0)
OTHER = replace(SOMEBODY, key="other", account="other", seconds=10.0)


class FullLine:
    """One of two workers has all places and fills the line; `ask` is that of the other one, a moment after the last."""

    def __init__(self, by: Claimant) -> None:
        self.workers = Workers(2)
        first, self._second = (lines.of(LIMITED) for lines in self.workers.lines)
        self.running = [ask(first, by) for _ in range(2)]
        self.waiting = [ask(first, by) for _ in range(4)]
        self.first: DeploymentLine = first

    def ask(self, by: Claimant) -> asyncio.Future[object]:
        """One more asks for a place."""
        self.workers.now += 1.0
        return ask(self._second, by)

    def end_one(self) -> None:
        """A request is over that has a place."""
        place = self.running.pop(0).result()
        assert isinstance(place, Place)
        self.first.take_back(place, self.workers.now)
        place.settle(10)

    def refused(self) -> list[BusyError]:
        """What those of the first worker are told that do not wait any longer."""
        return [error for one in self.waiting if one.done() and isinstance(error := one.result(), BusyError)]


async def test_the_last_of_a_script_makes_room_for_a_person() -> None:
    line = FullLine(SCRIPT)
    person = line.ask(PERSON)
    assert not person.done()
    assert [one.done() for one in line.waiting] == [False, False, False, True]
    (error,) = line.refused()
    assert str(error) == "limits.waiting is reached"
    assert error.headers["x-queue-position"] == "5"  # behind the person, and the three before it
    line.end_one()
    assert isinstance(person.result(), Place)


async def test_a_script_makes_no_room_for_its_own_or_a_persons_for_it() -> None:
    assert isinstance(FullLine(SCRIPT).ask(SCRIPT).result(), BusyError)
    line = FullLine(PERSON)
    assert isinstance(line.ask(SCRIPT).result(), BusyError)
    assert not line.refused()


async def test_who_comes_second_gets_its_share_of_a_full_line() -> None:
    line = FullLine(PERSON)
    others = [line.ask(OTHER) for _ in range(6)]
    assert [one.done() for one in others] == [False] * 3 + [True] * 3  # the first one's key has the places already
    assert len(line.refused()) == 3


async def test_who_was_moved_to_the_front_makes_no_room() -> None:
    line = FullLine(SCRIPT)
    last = max(line.first._waiting)
    line.first.move_to_front(last)
    line.ask(PERSON)
    assert [one.done() for one in line.waiting] == [False, False, True, False]


async def test_a_crowd_that_comes_at_once_makes_no_more_room_than_is_its_due() -> None:
    line = FullLine(SCRIPT)
    now = line.workers.now
    outcomes = []
    for _ in range(20):
        outcomes.append(line.ask(PERSON))
        line.workers.now = now
    assert len(line.refused()) <= sum(not one.done() for one in outcomes)
    assert sum(not one.done() for one in (*outcomes, *line.waiting)) == LIMITED.limits.waiting


@pytest.mark.parametrize("waiting", [0, 1])
async def test_where_nobody_waits_behind_nobody_makes_room(waiting: int) -> None:
    workers = Workers(1)
    line = workers.lines[0].of(replace(LIMITED, limits=Limits(connections=1, waiting=waiting)))
    line.take(PERSON)
    before = [ask(line, PERSON) for _ in range(waiting)]
    assert isinstance(await ask(line, PERSON), BusyError)
    assert not any(one.done() for one in before)


async def test_a_wait_that_somebody_knows_is_not_told_as_none() -> None:
    workers = Workers(1)
    line = workers.lines[0].of(replace(LIMITED, limits=Limits(connections=1, waiting=1)))
    unknown = replace(SOMEBODY, key="unknown")
    line.take(unknown)
    ask(line, unknown)
    first, second = [await ask(line, one) for one in (unknown, replace(unknown, seconds=10.0))]
    assert isinstance(first, BusyError)
    assert isinstance(second, BusyError)
    assert "x-queue-wait" not in first.headers
    assert int(second.headers["x-queue-wait"]) >= 10
