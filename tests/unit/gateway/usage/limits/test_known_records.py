"""What a process knows of the file's records it does not read again; what others have written meanwhile it does."""

import tempfile
from contextlib import ExitStack, closing
from datetime import UTC
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limits import Measure
from gateway.usage.limits.arithmetic.record import RECORD_BYTES
from gateway.usage.limits.store.limit_store import MetLimits, Taken
from gateway.usage.limits.store.memory_store import MemoryStore
from gateway.usage.limits.store.record_store import RecordStore
from gateway.usage.limits.store.shared_file import HEADER_BYTES, SharedFile
from tests.unit.gateway.usage.limits.set_clock import SetClock, claim

USUAL = b"usual".ljust(16, b"\0")
CLAIMS = [claim(measure, amount) for measure, amount in zip(Measure, (3, 6, 900, 2000, 5000), strict=True)]
# Who acts, what it does, by how many tokens, and how many seconds pass before.
ACTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["take", "take", "settle", "leave", "look", "withdraw"]),
        st.integers(0, 400),
        st.sampled_from([0, 0, 0, 1, 30, 70, 90_000]),
    ),
    max_size=40,
)


class Counted:
    """Stores of several processes, or one, which act in turn; and what was taken there and is not settled."""

    def __init__(self, several: list[RecordStore]) -> None:
        self._several = several
        # Of keys that share limits, in each process: what one takes, the other sees.
        self._claims = [
            [MetLimits(CLAIMS, USUAL), MetLimits(CLAIMS[1:], USUAL), MetLimits(CLAIMS[:2], None)] for _ in several
        ]
        self._running: list[tuple[RecordStore, Taken]] = []

    def act(self, who: int, what: str, tokens: int) -> object:
        place = who % len(self._several)
        store = self._several[place]
        if what == "take":
            found = store.take(self._claims[place][tokens % 3])
            if isinstance(found, Taken):
                self._running.append((store, found))
                return found.amounts, found.told
            return found.standings
        if self._running and what in {"settle", "withdraw"}:
            store, taken = self._running.pop(0)
            store.settle(taken, tokens, was_sent=what == "settle")
        elif self._running and what == "leave":
            store, taken = self._running[0]
            store.leave(taken)
        return store.look(CLAIMS)


@given(ACTS)
def test_three_processes_count_as_one_would(acts: list[tuple[int, str, int, int]]) -> None:
    clock = SetClock()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = [stack.enter_context(closing(SharedFile(Path(folder, "limits"), UTC, clock))) for _ in range(3)]
        several, one = Counted(list(files)), Counted([MemoryStore(UTC, clock)])
        for who, what, tokens, seconds in acts:
            clock.pass_by(seconds)
            assert several.act(who, what, tokens) == one.act(who, what, tokens)


def test_no_record_lies_across_two_pages() -> None:
    assert 4096 % RECORD_BYTES == HEADER_BYTES % RECORD_BYTES == 0
