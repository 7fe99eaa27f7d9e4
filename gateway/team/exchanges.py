"""What a running gateway carries now. A command that opens the database itself knows nothing of it."""

from datetime import datetime
from typing import NamedTuple, Protocol


class CarriedExchange(NamedTuple):
    """One request under way. `age` is in seconds, `bytes_out` what its client was sent of the answer so far.

    `events` are those of a stream, estimated from the size of its last ones; None for what is no stream.
    `position` is its place in line, from 1, and `wait` the seconds until it will have a slot: None where it is in none,
    or nobody knows yet.
    """

    id: str
    key: str
    account: str
    deployment: str
    endpoint: str
    age: float
    bytes_out: int
    events: int | None
    is_answering: bool
    position: int | None = None
    wait: float | None = None
    is_batch: bool = False


class Exchanges(Protocol):
    """The requests under way in all processes of a gateway, and what waits to be accounted of those before."""

    async def under_way(self) -> list[CarriedExchange]:
        """All of them, the oldest first."""
        ...

    async def end(self, exchange_id: str) -> None:
        """Break one off, visibly for its client."""
        ...

    async def move_to_front(self, exchange_id: str) -> None:
        """Let one that waits in line be the next."""
        ...

    async def usage_waiting_since(self) -> datetime | None:
        """Since when what was used waits for the database to take it; None where nothing does."""
        ...
