"""What one more request could expect: the same as if it had got in line, without the line being walked for each."""

from functools import partial
from heapq import heappop, heappush
from random import Random

import pytest

from gateway.proxy.queue.arbiter import Arbiter, Message
from gateway.proxy.queue.claims import Claim, Outlook, RequestId
from gateway.proxy.queue.fair_line import FairLine
from gateway.proxy.queue.forecast import Forecast

FOR_EVER = 1e9


def a_line(random: Random) -> FairLine:
    """Of several accounts and keys, some of which have had much; some requests run, and one was moved to the front."""
    line = FairLine(random.randint(1, 3), random.choice([20.0, FOR_EVER]))
    for number in range(random.randint(0, 40)):
        line.ask((0, number), a_claim(random), float(number))
        if random.random() < 0.3:
            line.begin_next(float(number))
    for number in range(0, 40, 7):
        line.settle((0, number), random.randint(1, 900), 3.0)
    line.move_to_front((0, random.randint(0, 39)))
    return line


def a_claim(random: Random) -> Claim:
    number = random.randint(1, 7)
    known = {"tokens": 100 * number, "seconds": float(number)} if number > 2 else {}
    weight = float(number % 3 + 1)
    return Claim(f"key{number}", f"account{number % 3}", number % 2 == 0, weight, weight, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(60))
def test_one_more_could_expect_what_it_would_if_it_waited(seed: int) -> None:
    random = Random(seed)
    line, claim, now = a_line(random), a_claim(random), 45.0
    foreseen = line.outlook_of_one_more(claim, line.forecast(now))
    line.ask((0, "one more"), claim, now)
    assert foreseen == line.outlooks(now)[0, "one more"]


@pytest.mark.parametrize("seed", range(10))
def test_the_first_of_a_line_are_told_the_same_as_if_all_were(seed: int) -> None:
    line, now = a_line(Random(seed)), 45.0
    assert list(line.outlooks(now, 5).items()) == list(line.outlooks(now).items())[:5]


def test_requests_of_many_keys_are_refused_for_one_walk_through_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[float] = []
    walk = FairLine.forecast

    def forecast(line: FairLine, now: float) -> Forecast:
        walked.append(now)
        return walk(line, now)

    said: list[Message] = []
    arbiter = Arbiter(1, lambda _, message: said.append(message), lambda: 5.0)
    tell = partial(arbiter.hear, 0)
    tell(("join", "demo", 1, 50, 30.0))
    for number in range(50):
        tell(("ask", "demo", number, f"key{number}", "acme"))
    tell(("running", "demo", 0, []))
    monkeypatch.setattr(FairLine, "forecast", forecast)
    for number in range(50, 150):
        tell(("ask", "demo", number, f"key{number % 7}", "acme"))
    assert sum(message[0] == "refuse" for message in said) == 100
    assert len(walked) == 1


def test_where_nobody_waits_one_more_could_be_the_next() -> None:
    line = FairLine(1, FOR_EVER)
    assert line.outlook_of_one_more(Claim("key", "acme", seconds=2.0), line.forecast(0.0)) == Outlook(1, 0.0)


def what_comes(line: FairLine, now: float, seconds: dict[RequestId, float]) -> dict[RequestId, Outlook]:
    """Play a line to its end, in which each place is free from now on."""
    free, comes = [now] * line.places, dict[RequestId, Outlook]()
    while line:
        begun = heappop(free)
        request = line.begin_next(begun)
        assert request is not None
        comes[request] = Outlook(len(comes) + 1, begun - now)
        heappush(free, begun + seconds[request])
    return comes


def a_line_of_sixty(seed: int) -> tuple[FairLine, dict[RequestId, float]]:
    """Of six keys, and how long each request will take, as the line knows."""
    random, line, seconds = Random(seed), FairLine(1 + seed % 3, 30.0), dict[RequestId, float]()
    for number in range(60):
        of = random.randint(1, 6)
        seconds[0, number] = float(of)
        claim = Claim(f"key{of}", f"account{of % 2}", of % 3 == 0, tokens=100 * of, seconds=float(of))
        line.ask((0, number), claim, float(number))
    return line, seconds


def test_what_is_foreseen_comes_where_keys_wait_for_too_long() -> None:
    right = number = 0
    for seed in range(30):
        line, seconds = a_line_of_sixty(seed)
        foreseen = line.outlooks(60.0)
        for one, outlook in what_comes(line, 60.0, seconds).items():
            number += 1
            right += foreseen[one].wait == pytest.approx(outlook.wait, rel=0.3, abs=max(seconds.values()))
    assert number == 1800
    assert right > 0.99 * number, "what goes first because of its wait is charged here in its turn: few are off by that"


def test_batch_may_expect_a_place_when_it_has_waited_for_too_long() -> None:
    line = FairLine(1, 30.0)
    for number in range(100):
        line.ask((0, number), Claim("person", "acme", seconds=4.0), 0.0)
    one_more = Claim("jobs", "acme", is_batch=True, seconds=4.0)
    assert line.outlook_of_one_more(one_more, line.forecast(0.0)) == Outlook(9, 32.0)
    line.ask((0, "jobs"), one_more, 0.0)
    assert line.outlooks(0.0)[0, "jobs"] == Outlook(9, 32.0)
    assert line.outlook_of_one_more(one_more, line.forecast(0.0)) == Outlook(17, 64.0)


def test_what_one_process_knows_of_a_key_counts_in_the_others() -> None:
    line = FairLine(1, FOR_EVER)
    line.begin(("first", 1), Claim("short", "acme", tokens=10, seconds=1.0), 0.0)
    line.ask(("first", 2), Claim("long", "acme", tokens=500, seconds=10.0), 0.0)
    line.ask(("second", 1), Claim("long", "acme"), 0.0)
    line.ask(("second", 2), Claim("long", "acme"), 0.0)
    assert [wait for _, wait in line.outlooks(0.0).values()] == [1.0, 11.0, 21.0]
