"""What one more request could expect: the same as if it had got in line, without the line being walked for each."""

from functools import partial
from random import Random

import pytest

from gateway.proxy.queue.arbiter import Arbiter, Message
from gateway.proxy.queue.claims import Claim, Outlook
from gateway.proxy.queue.fair_line import FairLine

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
    assert foreseen == dict(line.outlooks(now))[0, "one more"]


@pytest.mark.parametrize("seed", range(10))
def test_a_forecast_says_of_each_that_waits_what_its_outlook_is(seed: int) -> None:
    line, now = a_line(Random(seed)), 45.0
    assert line.forecast(now).outlooks == dict(line.outlooks(now))


def test_requests_of_many_keys_are_refused_for_one_walk_through_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[float] = []
    walk = FairLine._first

    def first(line: FairLine, now: float) -> object:
        walked.append(now)
        return walk(line, now)

    said: list[Message] = []
    arbiter = Arbiter(1, lambda _, message: said.append(message), lambda: 5.0)
    tell = partial(arbiter.hear, 0)
    tell(("join", "demo", 1, 50, 30.0))
    for number in range(50):
        tell(("ask", "demo", number, f"key{number}", "acme"))
    tell(("running", "demo", 0, []))
    monkeypatch.setattr(FairLine, "_first", first)
    for number in range(50, 150):
        tell(("ask", "demo", number, f"key{number % 7}", "acme"))
    assert sum(message[0] == "refuse" for message in said) == 100
    assert len(walked) == 1


def test_where_nobody_waits_one_more_could_be_the_next() -> None:
    line = FairLine(1, FOR_EVER)
    assert line.outlook_of_one_more(Claim("key", "acme", seconds=2.0), line.forecast(0.0)) == Outlook(1, 0.0)
