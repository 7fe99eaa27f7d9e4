"""When a worker is started again."""

import pytest

from gateway.server.process import restart_backoff
from gateway.server.process.restart_backoff import NEVER, RestartBackoff


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(restart_backoff, "monotonic", lambda: now[0])
    return now


def pauses(schedule: RestartBackoff, now: list[float], *lives: float) -> list[float]:
    """How long worker 0 is waited with, after lives of so many seconds."""
    found = []
    for lived in lives:
        schedule.add_again(0, lived)
        assert schedule.take_due() is None
        found.append(round(schedule.next_due() - now[0], 3))
        now[0] = schedule.next_due()
        assert schedule.take_due() == 0
    return found


def test_a_worker_that_keeps_dying_is_restarted_later_and_later(now: list[float]) -> None:
    assert pauses(RestartBackoff(), now, *[0.1] * 9) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_worker_that_had_lived_well_is_started_soon(now: list[float]) -> None:
    assert pauses(RestartBackoff(), now, 0.1, 0.1, 0.1, 11.0, 0.1) == [0.1, 0.2, 0.4, 0.1, 0.2]


@pytest.mark.usefixtures("now")
def test_none_is_due_once_all_were_taken_or_the_schedule_is_cleared() -> None:
    schedule = RestartBackoff()
    schedule.add(0)
    schedule.add(1)
    assert {schedule.take_due(), schedule.take_due()} == {0, 1}
    schedule.add_again(1, 0.1)
    assert schedule
    schedule.clear()
    assert not schedule
    assert (schedule.take_due(), schedule.next_due()) == (None, NEVER)
