"""When each worker is to be started: at first at once, and after a death after a pause that grows."""

from collections import defaultdict
from time import monotonic

NEVER = float("inf")
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds; doubled each time
_STEADY_SECONDS = 10.0  # a worker that lived so long did not die of its start


class RestartBackoff:
    """Workers by their numbers, and the time at which each is due; true while there are any."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._pauses: defaultdict[int, float] = defaultdict(lambda: _SHORTEST_PAUSE)

    def __bool__(self) -> bool:
        return bool(self._due)

    def add(self, number: int) -> None:
        """Let it be started at once."""
        self._due[number] = 0.0

    def add_again(self, number: int, lived: float) -> None:
        """Let it be started again, after it has lived for so many seconds."""
        pause = _SHORTEST_PAUSE if lived > _STEADY_SECONDS else self._pauses[number]
        self._pauses[number] = min(pause * 2, _LONGEST_PAUSE)
        self._due[number] = monotonic() + pause

    def clear(self) -> None:
        """Let none be started."""
        self._due.clear()

    def next_due(self) -> float:
        """When the next one is due."""
        return min(self._due.values(), default=NEVER)

    def take_due(self) -> int | None:
        """One that is due now; it is no longer in the schedule."""
        number = min(self._due, key=self._due.__getitem__, default=None)
        if number is None or self._due[number] > monotonic():
            return None
        del self._due[number]
        return number
