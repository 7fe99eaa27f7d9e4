"""The order in which requests get their places, played in virtual time: shares, waits, classes, and nobody starves."""

from random import Random
from statistics import mean, quantiles

import pytest

from gateway.proxy.queue.claims import Claim
from gateway.proxy.queue.fair_line import FairLine
from tests.unit.gateway.queue.simulation import SECONDS_PER_TOKEN, Asked, FirstComeLine, Simulation

FOR_EVER = 1e9
LENGTHS = {"long": (600, 1400), "middle": (100, 500), "short": (10, 90)}


def backlogged(weights: dict[str, float], places: int, *, learn: bool = True) -> Simulation:
    """Three keys that each have more requests in line than they are given places, of different lengths."""
    random = Random(7)
    usual = {key: sum(bounds) // 2 for key, bounds in LENGTHS.items()}

    def another(key: str) -> None:
        claim = Claim(key, "acme", key_weight=weights[key], tokens=usual[key] if learn else 0)
        playing.ask(claim, random.randint(*LENGTHS[key]))

    playing = Simulation(FairLine(places, FOR_EVER), places, then=lambda one: another(one.claim.key))
    for key in weights:
        for _ in range(3 * places):
            another(key)
    return playing


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 4), (3, 1, 0.5)])
def test_keys_get_tokens_by_their_weights_whatever_the_lengths(places: int, weights: tuple[float, ...]) -> None:
    by_key = dict(zip(LENGTHS, weights, strict=True))
    served = backlogged(by_key, places).run(1000)
    for key, weight in by_key.items():
        assert served[key] / served.total() == pytest.approx(weight / sum(weights), rel=0.05)


def test_shares_are_just_even_where_nothing_is_known_of_a_key() -> None:
    served = backlogged(dict.fromkeys(LENGTHS, 1.0), 4, learn=False).run(1000)
    assert all(share / served.total() == pytest.approx(1 / 3, rel=0.05) for share in served.values())


def test_accounts_share_first_however_many_keys_each_has() -> None:
    playing = Simulation(
        FairLine(2, FOR_EVER), 2, then=lambda one: playing.ask(one.claim, 100 if one.claim.account == "big" else 300)
    )
    for number in range(9):
        for _ in range(4):
            playing.ask(Claim(f"big{number}", "big", tokens=100), 100)
    for _ in range(8):
        playing.ask(Claim("only", "small", account_weight=2, tokens=300), 300)
    served = playing.run(1000)
    assert served["only"] / served.total() == pytest.approx(2 / 3, rel=0.05)
    several = [tokens for key, tokens in served.items() if key != "only"]
    assert max(several) == pytest.approx(min(several), rel=0.05)


def waits_beside_jobs(line: FairLine | FirstComeLine, *, is_batch: bool) -> tuple[float, float]:
    """The 95th percentile of a person's waits beside 50 jobs of another key, in seconds; and the longest answer."""
    random = Random(3)
    person, job = Claim("person", "acme", tokens=50), Claim("jobs", "acme", is_batch=is_batch, tokens=300)

    def goes_on(one: Asked) -> None:
        if one.claim.key == "jobs":
            playing.ask(job, random.randint(200, 400))
        else:
            playing.ask(person, 50, after=random.uniform(0, 10))

    playing = Simulation(line, 1, then=goes_on)
    for _ in range(50):
        playing.ask(job, random.randint(200, 400))
    playing.ask(person, 50, after=20)
    playing.run(1000)
    waits = [one.waited for one in playing.done if one.claim.key == "person"]
    return quantiles(waits, n=20)[-1], 400 * SECONDS_PER_TOKEN


@pytest.mark.parametrize("is_batch", [False, True])
def test_fifty_jobs_hold_up_another_keys_request_by_one_answer(is_batch: bool) -> None:
    wait, answer = waits_beside_jobs(FairLine(1, FOR_EVER), is_batch=is_batch)
    assert wait <= answer
    first_come, _ = waits_beside_jobs(FirstComeLine(), is_batch=is_batch)
    assert first_come > 30 * answer, "what it would be first come, first served"


def test_batch_gets_what_is_idle_and_yields() -> None:
    line = FairLine(1, FOR_EVER)
    line.ask((0, 1), Claim("jobs", "acme", is_batch=True), 0)
    line.ask((0, 2), Claim("person", "acme", tokens=10_000), 1)
    line.ask((0, 3), Claim("person", "acme", tokens=10_000), 1)
    assert [line.begin_next(2) for _ in range(4)] == [(0, 2), (0, 3), (0, 1), None]


def test_nobody_starves_not_even_batch_beside_an_endless_crowd() -> None:
    longest = 30.0
    playing = Simulation(FairLine(1, longest), 1, then=lambda one: playing.ask(one.claim, one.tokens))
    for number in range(5):
        playing.ask(Claim(f"person{number}", "acme"), 100)
    playing.ask(Claim("jobs", "acme", is_batch=True), 100)
    playing.run(500)
    waits = [one.waited for one in playing.done if one.claim.key == "jobs"]
    assert len(waits) > 10
    assert max(waits) <= longest + 100 * SECONDS_PER_TOKEN


def test_who_was_away_claims_nothing_for_that_time() -> None:
    playing = Simulation(FairLine(1, FOR_EVER), 1, then=lambda one: playing.ask(one.claim, one.tokens))
    for key in ("early", "early", "late", "late"):
        playing.ask(Claim(key, "acme", tokens=100), 100, after=500 if key == "late" else 0)
    playing.run(500)
    before = len(playing.done)
    playing.run(before + 100)
    latest = [one.claim.key for one in playing.done[before:]]
    assert latest.count("late") == pytest.approx(50, abs=2)


def test_a_request_that_was_moved_to_the_front_is_next() -> None:
    line = FairLine(1, FOR_EVER)
    for number in range(4):
        line.ask((0, number), Claim(f"key{number}", "acme"), number)
    line.move_to_front((0, 3))
    line.move_to_front((0, 2))
    line.leave((0, 0))
    assert [one.id[1] for one in line.order(9)] == [2, 3, 1]


@pytest.mark.parametrize("places", [1, 3])
def test_the_expected_wait_is_within_thirty_percent_of_the_real_one(places: int) -> None:
    random, promised, line = Random(5), dict[int, float](), FairLine(places, FOR_EVER)

    def note(_: Asked) -> None:
        for request, outlook in line.outlooks(playing.now).items():
            if outlook.wait is not None:
                promised.setdefault(int(str(request[1])), playing.now + outlook.wait)

    playing = Simulation(line, places, began=note)
    for _ in range(30):
        for key, tokens in (("one", 200), ("two", 400)):
            claim = Claim(key, "acme", tokens=tokens, seconds=tokens * SECONDS_PER_TOKEN)
            playing.ask(claim, random.randint(tokens - 150, tokens + 150))
    playing.run(60)
    known = [one for one in playing.done if one.number in promised]
    assert len(known) >= 50
    answer = 5.5  # seconds of the longest: two neighbours in line may change places
    assert all(promised[one.number] == pytest.approx(one.waited, rel=0.3, abs=answer) for one in known)
    assert mean(promised.values()) == pytest.approx(mean(one.waited for one in known), rel=0.1)


def test_no_wait_is_promised_while_nothing_has_been_measured() -> None:
    line = FairLine(1, FOR_EVER)
    line.ask((0, 1), Claim("key", "acme"), 0)
    assert line.outlooks(0) == {(0, 1): (1, None)}
