"""By what a supervisor sees that a worker hangs: its event loop writes a byte each second, or does so no longer.

As gunicorn's arbiter it kills such a worker after 30 s (docs.gunicorn.org/en/stable/settings.html#timeout).
"""

import asyncio
import os
from contextlib import suppress

LOOK_SECONDS = 5.0  # between two looks of the supervisor
_MOST_SILENT = 6  # looks
_BEAT_SECONDS = 1.0
_BEAT = b"s"


def beat(channel: int) -> None:
    """Tell the supervisor that this worker serves, now and for as long as its event loop runs."""
    with suppress(BlockingIOError, ConnectionError):  # it is stopped, or gone; then the channel's end stops this worker
        os.write(channel, _BEAT)
    asyncio.get_running_loop().call_later(_BEAT_SECONDS, beat, channel)


class Heartbeat:
    """That of one worker. Looks are counted, not seconds: supervisor and worker may have been stopped together."""

    def __init__(self) -> None:
        self._silent = 0

    def heard(self) -> None:
        """It has written."""
        self._silent = 0

    def is_missed(self) -> bool:
        """Look once more: whether it has not been heard for too long. It is asked for at every look, then no more."""
        self._silent += 1
        return self._silent == _MOST_SILENT + 1
