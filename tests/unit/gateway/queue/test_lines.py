"""What the lines of several processes tell the arbiter that they share, and what it makes of that."""

import asyncio
from dataclasses import replace
from functools import partial
from time import monotonic

import pytest

from gateway.core import errors
from gateway.core.account import Key
from gateway.core.deployment import Deployment, Limits
from gateway.core.errors import Refusal
from gateway.proxy.queue import deployment_line
from gateway.proxy.queue.arbiter import Arbiter, Message
from gateway.proxy.queue.deployment_line import BusyError, Claimant, DeploymentLine, Place
from gateway.proxy.queue.lines import Deliver, Lines
from tests.harness.lines import Workers, ask
from tests.harness.pools import SOMEBODY

DEPLOYMENT = Deployment("demo", "acme", "http://127.0.0.1:1")


def taken(line: DeploymentLine) -> list[Place]:
    """All places that it may take by itself."""
    return list(iter(partial(line.take, SOMEBODY), None))


def take_now(workers: Workers, line: DeploymentLine, claimant: Claimant) -> None:
    """Take a place, by the arbiter's clock."""
    place = line.take(claimant)
    assert place is not None
    place.since = workers.now


async def refused(line: DeploymentLine, key: str) -> BusyError:
    """What a request of this key is told that there is no room for, whose requests take 10 s each."""
    error = await ask(line, replace(SOMEBODY, key=key, seconds=10.0))
    assert isinstance(error, BusyError)
    return error


@pytest.fixture
def workers() -> Workers:
    return Workers(2)


def test_a_worker_that_starts_again_leaves_the_places_that_are_known(workers: Workers) -> None:
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, 4)
    workers.arbiter.forget(1)
    again = workers.begin(1)
    first, second = workers.lines[0].of(DEPLOYMENT), again.of(DEPLOYMENT)
    assert (len(taken(first)), len(taken(second))) == (2, 2)


def test_a_server_that_says_nothing_of_its_slots_has_the_usual_places(workers: Workers) -> None:
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, 4)
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, None)
    assert sum(len(taken(lines.of(DEPLOYMENT))) for lines in workers.lines) == 256


async def test_what_a_refused_request_could_expect_is_of_now() -> None:
    workers = Workers(1)
    limited = replace(DEPLOYMENT, limits=Limits(connections=1, waiting=0))
    line = workers.lines[0].of(limited)
    take_now(workers, line, replace(SOMEBODY, seconds=10.0))
    first = await refused(line, "a")
    workers.now += 5.0
    await refused(line, "b")
    later = await refused(line, "a")
    assert first.outlook is not None
    assert later.outlook is not None
    assert first.outlook.wait == pytest.approx(10.0, abs=0.1)
    assert later.outlook.wait == pytest.approx(5.0, abs=0.1)


async def test_a_new_server_has_places_while_answers_of_the_one_before_run(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=2))
    moved = replace(limited, upstream="http://127.0.0.1:2")
    before = [lines.of(limited) for lines in workers.lines]
    running = [place for line in before for place in taken(line)]
    waiting = ask(before[0], SOMEBODY)
    now = [lines.of(moved) for lines in workers.lines]
    assert (len(running), len(taken(now[0])) + len(taken(now[1]))) == (2, 2)
    assert not waiting.done()
    running[0].line.take_back(running[0], monotonic())
    place = await waiting
    assert isinstance(place, Place)
    assert place.line is before[0], "it waited for the server that there was"


def test_the_line_before_a_server_that_nothing_runs_at_is_closed() -> None:
    workers = Workers(1)
    places = [workers.lines[0].of(DEPLOYMENT).take(SOMEBODY)]
    second, third = (replace(DEPLOYMENT, upstream=f"http://127.0.0.1:{port}") for port in (2, 3))
    for deployment, remain in ((second, 2), (third, 2), (second, 2)):
        workers.lines[0].of(deployment)
        assert len(workers.arbiter._lines) == remain, "that of the first, where something runs, and the present one"
    for place in filter(None, places):
        place.line.take_back(place, monotonic())
    workers.lines[0].of(third)
    assert len(workers.arbiter._lines) == 1
    workers.lines[0].keep_only(())
    assert not workers.arbiter._lines


async def test_who_waits_for_a_deployment_that_is_removed_is_refused(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=2))
    lines = [each.of(limited) for each in workers.lines]
    running = [place for line in lines for place in taken(line)]
    waiting = ask(lines[0], SOMEBODY)
    for each in workers.lines:
        each.keep_only(())
    outcome = await waiting
    assert isinstance(outcome, Refusal)
    assert outcome.row is errors.NO_DEPLOYMENT
    for place in running:
        place.line.take_back(place, monotonic())
    for each in workers.lines:
        each.keep_only(())
    assert not workers.arbiter._lines


def test_what_runs_keeps_its_place_where_a_deployment_is_added_again(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=4))
    assert workers.lines[0].of(limited).take(SOMEBODY) is not None
    for each in workers.lines:
        each.keep_only(())
    again = [each.of(limited) for each in workers.lines]
    assert [len(taken(line)) for line in again] == [1, 2]


async def test_who_asks_for_a_place_in_a_line_that_is_closed_is_refused(workers: Workers) -> None:
    line = workers.lines[0].of(replace(DEPLOYMENT, limits=Limits(connections=1)))
    assert line.take(SOMEBODY) is None, "one place and two workers: none can take it by itself"
    workers.lines[0].keep_only(())
    outcome = ask(line, SOMEBODY)
    assert outcome.done()
    assert isinstance(outcome.result(), BusyError)


def test_keys_without_number_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_line, "_MOST_CLAIMANTS", 2)
    line = Lines().of(DEPLOYMENT)
    keys = [Key(f"key_{number}", "one", "acme", b"") for number in range(3)]
    first, second = (line.claimant(key, 1.0) for key in keys[:2])
    assert line.claimant(keys[0], 1.0) is first
    line.claimant(keys[2], 1.0)
    assert line.claimant(keys[0], 1.0) is first, "the one that was asked for longest ago is forgotten"
    assert line.claimant(keys[1], 1.0) is not second


async def test_nobody_is_refused_while_another_worker_has_a_place_to_spare(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=2, waiting=0))
    first, second = (lines.of(limited) for lines in workers.lines)
    assert first.take(SOMEBODY) is not None
    asked = await ask(first, SOMEBODY)
    assert isinstance(asked, Place)
    assert second.take(SOMEBODY) is None
    for line in (first, second):
        assert isinstance(await ask(line, SOMEBODY), BusyError)
    first.take_back(asked, monotonic())
    assert isinstance(await ask(second, SOMEBODY), Place)


async def test_a_deaf_worker_lets_no_more_wait_than_it_has_places(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=2, waiting=1))
    first, _ = (lines.of(limited) for lines in workers.lines)
    workers.deafen(1)
    assert first.take(SOMEBODY) is not None
    outcomes = [ask(first, SOMEBODY) for _ in range(4)]
    await asyncio.sleep(0)
    assert [outcome.done() for outcome in outcomes] == [False, False, True, True]
    refused = outcomes[2].result()
    assert isinstance(refused, BusyError)
    assert refused.outlook is not None
    assert refused.outlook.position == 2  # who may yet have a place of the deaf worker is not in line


async def test_who_does_not_come_to_wait_is_told_of_the_line_of_all(workers: Workers) -> None:
    limited = replace(DEPLOYMENT, limits=Limits(connections=2))
    first, second = (lines.of(limited) for lines in workers.lines)
    somebody = replace(SOMEBODY, seconds=10.0)
    assert await first.prospect(somebody) == (1, 0.0)
    for line in (first, second):
        take_now(workers, line, somebody)
    assert await first.prospect(somebody) == (1, 5.0)
    for _ in range(3):
        ask(second, somebody)
    for line in (first, second):
        told = await line.prospect(replace(somebody))
        assert told is not None
        assert told.position == 4
        assert told.wait == pytest.approx(20.0, abs=0.1)


async def test_who_looks_the_first_time_sees_the_line_of_an_arbiter_elsewhere() -> None:
    hears = list[Deliver]()

    def later(hear: Deliver, message: Message) -> None:
        asyncio.get_running_loop().call_soon(hear, message)

    def connect(hear: Deliver) -> Deliver:
        hears.append(hear)
        return partial(later, partial(arbiter.hear, 0))

    arbiter = Arbiter(1, lambda _, message: later(hears[0], message))
    line = Lines(connect).of(replace(DEPLOYMENT, limits=Limits(connections=1, waiting=5)))
    await ask(line, SOMEBODY)
    for _ in range(2):
        ask(line, SOMEBODY)
    await line.look()
    assert [outlook.position for outlook in line.outlooks.values()] == [1, 2]


async def test_who_hears_nothing_of_the_arbiter_is_told_nothing_of_the_line(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment_line, "_ANSWER_SECONDS", 0.01)
    limited = replace(DEPLOYMENT, limits=Limits(connections=2))
    first, second = (lines.of(limited) for lines in workers.lines)
    for line in (first, second):
        line.take(SOMEBODY)
    ask(second, SOMEBODY)
    workers.deafen(0)
    assert await first.prospect(replace(SOMEBODY)) is None
