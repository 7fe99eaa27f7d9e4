"""What is known in a line of each request: whose it is, what it is expected to take, and how it stands."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.proxy.queue.token_counters import KeyCounter

RequestId = tuple[Hashable, Hashable]  # the process that it is in, and its number there


class Claim(NamedTuple):
    """Whose a request is, and what it is expected to take: `tokens`, and `seconds` of a place; 0 where unknown."""

    key: str
    account: str
    is_batch: bool = False
    key_weight: float = 1.0
    account_weight: float = 1.0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class TrackedRequest:
    """A request in line, or one that has its place, both `since` then. `key` is its key's counter."""

    id: RequestId
    key: KeyCounter
    tokens: int
    seconds: float
    since: float


class Turn(NamedTuple):
    """The turn of `one` among those of its class, at these levels of its account and of its key."""

    one: TrackedRequest
    account_level: float
    key_level: float


class Outlook(NamedTuple):
    """Where a request stands in line, from 1, and how many seconds it will wait from now; None if nobody knows yet."""

    position: int
    wait: float | None
