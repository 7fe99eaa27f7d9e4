"""What accounts and keys have had of a deployment, in tokens: a virtual token counter for each. Pure: no clock, no I/O.

After "Fairness in Serving Large Language Models" (Sheng et al., OSDI 2024), with a level above: an account has a
counter among accounts, a key one among the keys of its account.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class TokenCounter:
    """`served` are tokens over `weight`; `pending` those that running requests are expected to take."""

    weight: float = 1.0
    served: float = 0.0
    pending: int = 0
    waiting: int = 0  # requests in line

    @property
    def level(self) -> float:
        """By which it is decided who is next: the lowest is."""
        return self.level_from(self.served)

    def level_from(self, served: float) -> float:
        """What it would be with so many tokens `served`."""
        return served + self.pending / self.weight

    def charge(self, tokens: int) -> None:
        """Count a request as running that is expected to take so many."""
        self.pending += tokens

    def settle(self, expected: int, tokens: int) -> None:
        """Count what a request has taken in the place of what was `expected`."""
        self.pending -= expected
        self.served += tokens / self.weight


@dataclass(slots=True, eq=False)
class AccountCounter(TokenCounter):
    """That of an account, with those of its `keys` by id; `last` is `served` of the key that last got a place."""

    keys: dict[str, "KeyCounter"] = field(default_factory=dict)
    last: float = 0.0


@dataclass(slots=True, eq=False)
class KeyCounter(TokenCounter):
    """That of a key. `given_at`, in seconds, is when it last got a place.

    `tokens`, and `seconds` of a place, are what its requests usually take, by the last process that knew; 0: none did.
    """

    account: AccountCounter = field(default_factory=AccountCounter)
    is_batch: bool = False
    given_at: float = 0.0
    tokens: int = 0
    seconds: float = 0.0


def lift(newcomer: TokenCounter, others: Iterable[TokenCounter], last: float) -> None:
    """Let who begins to wait claim nothing for the time in which it did not: it is level with the least who wait.

    Where nobody waits, with the `last` that got a place.
    """
    newcomer.served = lifted(newcomer, min((one.served for one in others if one.waiting), default=last))


def lifted(newcomer: TokenCounter, least: float) -> float:
    """What is `served` of who begins to wait, where that of the least is this; of who waits already, what it is."""
    return newcomer.served if newcomer.waiting else max(newcomer.served, least)
