"""How long tests wait, all of them: long enough for any machine. No test proves by it how fast something is."""

import time
from collections.abc import Callable

PATIENCE = 120.0  # seconds, for whatever must come

# Seconds. What should happen at once takes less even on a busy machine; what waits for one of the gateway's own limits
# takes longer: those not set in a test are a minute and more, but for `connect` (5), `drain` (30) and `keepalive` (75).
AT_ONCE = 25.0


def wait_until(holds: Callable[[], object], what: str = "what was waited for never came") -> None:
    """Ask again and again until it holds. Fails when patience is over, and says `what`."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def wait_until_blocked(sent: list[int]) -> None:
    """Wait until nothing more can be sent: all buffers on the way are full. `sent` counts for each who sends."""
    deadline = time.monotonic() + PATIENCE
    seen: list[int] = []
    while not sent or seen != sent:
        seen = list(sent)
        assert time.monotonic() < deadline, f"still sending: {sent}"
        time.sleep(0.3)  # no event tells that nothing happens
