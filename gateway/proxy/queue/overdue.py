"""Which keys will have waited for too long by a moment to come. Pure: times are seconds from now."""

from collections.abc import Container, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from itertools import filterfalse

from gateway.proxy.queue.claims import RequestId, TrackedRequest
from gateway.proxy.queue.token_counters import KeyCounter

_NEVER = float("inf")


class Overdue:
    """Of the keys of a line that is walked, with their requests in `queues`; each waits `longest_wait` at most.

    `next_at`: before then no key is due.
    """

    def __init__(
        self, queues: Mapping[KeyCounter, Mapping[RequestId, TrackedRequest]], longest_wait: float, now: float
    ) -> None:
        self._longest_wait = longest_wait
        self._queues = queues
        self._left: dict[KeyCounter, Iterator[TrackedRequest]] = {}
        begun = {key: max(next(iter(queue.values())).since, key.given_at) for key, queue in queues.items()}
        self._due = {key: since + longest_wait - now for key, since in begun.items()}
        # A key that has got a place meanwhile is due later than is written here.
        self._heap = [(due, number, key) for number, (key, due) in enumerate(self._due.items())]
        heapify(self._heap)
        self.next_at = self._heap[0][0] if self._heap else _NEVER

    def due_of(self, key: KeyCounter) -> float:
        """When a key is due, by what is known of the places that it gets; one that begins to wait now, if it is new."""
        return self._due.get(key, self._longest_wait)

    def note(self, key: KeyCounter, wait: float) -> None:
        """A key gets a place in so many seconds."""
        self._due[key] = wait + self._longest_wait

    def first(self, wait: float, placed: Container[RequestId]) -> TrackedRequest | None:
        """Who goes first in so many seconds because of its key's wait; of those `placed` none waits any more."""
        heap = self._heap
        found = None
        while found is None and heap and heap[0][0] <= wait:
            written, number, key = heap[0]
            if self._due[key] > written:
                heapreplace(heap, (self._due[key], number, key))
                continue
            found = next(filterfalse(lambda one: one.id in placed, self._requests(key)), None)
            if found is None:
                heappop(heap)
        self.next_at = heap[0][0] if heap else _NEVER
        return found

    def _requests(self, key: KeyCounter) -> Iterator[TrackedRequest]:
        """Those of a key that were not looked at yet."""
        if key not in self._left:
            self._left[key] = iter(self._queues[key].values())
        return self._left[key]
