"""A stream whose events come one by one: each is sent once the client has the one before, so each comes in one read."""

import threading
from collections.abc import Callable, Iterator

from tests.harness.patience import PATIENCE
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient

CUT = b'data: {"error":{"type":"api_error","message":"The model endpoint broke off in the middle of its answer."}}\n\n'
PING = b":\n\n"


def events(count: int) -> list[bytes]:
    """Events that differ, and in size too."""
    return [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"%d " % n * (n % 40 + 10)) for n in range(count)]


class OneByOne:
    """A script that sends each of the `events` when it is told to, and then does what `ends` does."""

    def __init__(self, events: list[bytes], ends: Callable[[Visit], object]) -> None:
        self.events = events
        self._ends = ends
        self._next = threading.Semaphore()

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        for event in self.events:
            assert self._next.acquire(timeout=PATIENCE)
            visit.chunk(event)
        assert self._next.acquire(timeout=PATIENCE)
        self._ends(visit)

    def heard_by(self, client: WireClient, *, is_pinged: bool = False) -> Iterator[bytes]:
        """The events as they come to the client, without the pings between; then the upstream goes on to the end."""
        client.read_head()
        for _ in self.events:
            while (event := client.read_chunk()) == PING and is_pinged:
                pass
            yield event
            self._next.release()
