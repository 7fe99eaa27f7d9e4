"""Who used how much since the start, for Prometheus: by account and deployment, and by key where a setting says so.

The ledger hands over what it has added up, once a second: a request pays nothing for it. Accounts and deployments are
those of the registry. Keys come and go, and so each process has a bound: what is beyond it is counted as `other`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

COLUMNS = ("requests", "tokens_in", "tokens_cached", "tokens_out", "queue_seconds", "slot_seconds")
OTHER = "other"


class User(NamedTuple):
    """Whose numbers these are. `key` is empty where keys are not told apart."""

    account: str
    deployment: str
    key: str


class UsageCounts:
    """Sums that only grow, in the order of COLUMNS. Of those that are `add`ed, at most `most_keys` are told apart."""

    __slots__ = ("_keys", "most_keys", "rows")

    def __init__(self, most_keys: int = 0) -> None:
        self.most_keys = most_keys
        self.rows: dict[User, list[float]] = {}
        self._keys: set[str] = set()

    def add(self, account: str, deployment: str, key: str, values: Sequence[float]) -> None:
        """Add what was used."""
        self._add(User(account, deployment, self._told(key)), values)

    def add_all(self, others: Iterable[tuple[Sequence[str], Sequence[float]]]) -> None:
        """Add what another process has counted. The keys that it tells apart stay so: no sum may go back."""
        for user, values in others:
            self._add(User(*user), values)
            self._keys.add(user[2])

    def _add(self, user: User, values: Sequence[float]) -> None:
        known = self.rows.get(user)
        self.rows[user] = list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]

    def _told(self, key: str) -> str:
        if not self.most_keys or key in self._keys:
            return key if self.most_keys else ""
        if len(self._keys) >= self.most_keys or key == OTHER:
            return OTHER
        self._keys.add(key)
        return key


class _Line(NamedTuple):
    """One line of a family: its further label, and which of COLUMNS it shows."""

    label: str
    column: int


def _line(column: str, label: str = "") -> _Line:
    return _Line(label, COLUMNS.index(column))


_FAMILIES = (
    ("gguf_usage_requests_total", "Requests of an account to a deployment.", (_line("requests"),)),
    (
        "gguf_usage_tokens_total",
        "Tokens of an account at a deployment; those cached are among those in.",
        (
            _line("tokens_cached", ',kind="cached"'),
            _line("tokens_in", ',kind="in"'),
            _line("tokens_out", ',kind="out"'),
        ),
    ),
    ("gguf_usage_queue_seconds_total", "Seconds in line.", (_line("queue_seconds"),)),
    ("gguf_usage_slot_seconds_total", "Seconds with a place at the model server.", (_line("slot_seconds"),)),
)
_AT_ONCE = 200  # rows: about a millisecond


def pieces(counts: UsageCounts) -> Iterator[bytes]:
    """The text for Prometheus, in pieces of about a millisecond's work each."""
    rows = sorted(counts.rows.items())
    for name, text, lines in _FAMILIES:
        yield f"# HELP {name} {text}\n# TYPE {name} counter\n".encode()
        remaining = iter(rows)
        while portion := list(islice(remaining, _AT_ONCE)):
            yield "".join(
                f"{name}{{{_labels(user)}{line.label}}} {float(values[line.column])}\n"
                for user, values in portion
                for line in lines
            ).encode()


def _labels(user: User) -> str:
    """Ids are of characters that need no escape: the registry takes no others."""
    key = f',key="{user.key}"' if user.key else ""
    return f'account="{user.account}",deployment="{user.deployment}"{key}'
