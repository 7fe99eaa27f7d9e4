"""Waiting for what no event tells of."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object], within: float = 2.0, what: str = "what was waited for never came") -> None:
    """Ask again and again until it holds. Fails when time is over, and says `what`."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def wait_until_blocked(sent: list[int]) -> None:
    """Wait until nothing more can be sent: all buffers on the way are full. `sent` counts for each who sends."""
    deadline = time.monotonic() + 5
    seen: list[int] = []
    while not sent or seen != sent:
        seen = list(sent)
        assert time.monotonic() < deadline, f"still sending: {sent}"
        time.sleep(0.1)  # no event tells that nothing happens
