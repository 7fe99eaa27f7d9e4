"""A worker hangs when its supervisor has looked again and again, and not heard it."""

from gateway.server.process.heartbeat import Heartbeat


def test_a_worker_that_is_heard_now_and_then_does_not_hang() -> None:
    heartbeat = Heartbeat()
    for _ in range(20):
        assert not any(heartbeat.is_missed() for _ in range(6))
        heartbeat.heard()


def test_one_that_is_not_heard_for_30_seconds_hangs_and_is_ended_once() -> None:
    heartbeat = Heartbeat()
    assert [heartbeat.is_missed() for _ in range(9)] == [False] * 6 + [True] + [False] * 2
