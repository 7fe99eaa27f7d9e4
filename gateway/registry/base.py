"""The interface of every registry: an immutable snapshot in memory, replaced whole when its source changes."""

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from gateway.core.account import Account, Key
from gateway.core.deployment import Deployment
from gateway.core.rate_limits import RateLimit
from gateway.registry.key_index import KeyIndex

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Difference:
    """What has changed in a source: by id, what is there now; None for what is gone."""

    keys: Mapping[str, Key | None] = field(default_factory=dict, repr=False)
    deployments: Mapping[str, Deployment | None] = field(default_factory=dict)
    accounts: Mapping[str, Account | None] = field(default_factory=dict)
    limits: Mapping[str, RateLimit | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a request needs to know, at one moment. Reading it touches neither disk nor database.

    `keys` is indexed by the SHA-256 of a key's text, `deployments`, `accounts` and `limits` by id. What did not change
    between two snapshots of a source is the same object in both. `cut_keys` are the ids of the keys that were revoked
    with what runs on them.
    """

    keys: KeyIndex = field(default_factory=KeyIndex, repr=False)
    deployments: Mapping[str, Deployment] = field(default_factory=lambda: MappingProxyType({}))
    accounts: Mapping[str, Account] = field(default_factory=lambda: MappingProxyType({}))
    cut_keys: frozenset[str] = frozenset()
    limits: Mapping[str, RateLimit] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(
        cls,
        keys: Sequence[Key],
        deployments: Iterable[Deployment],
        accounts: Iterable[Account] = (),
        limits: Iterable[RateLimit] = (),
    ) -> "Snapshot":
        """All of these. Of two keys with one digest, or two deployments with one id, the later counts."""
        return cls(
            KeyIndex(keys),
            MappingProxyType({deployment.id: deployment for deployment in deployments}),
            MappingProxyType({account.id: account for account in accounts}),
            frozenset(key.id for key in keys if key.cut),
            MappingProxyType({limit.id: limit for limit in limits}),
        )

    def changed(self, found: Difference) -> "Snapshot":
        """This with what has changed since."""
        put = [key for key in found.keys.values() if key is not None]
        gone = {name for name, key in found.keys.items() if key is None}
        return Snapshot(
            self.keys.changed(put, gone),
            _changed(self.deployments, found.deployments),
            _changed(self.accounts, found.accounts),
            (self.cut_keys - found.keys.keys()) | {key.id for key in put if key.cut},
            _changed(self.limits, found.limits),
        )

    def reusing(self, before: "Snapshot") -> "Snapshot":
        """This with the deployments of another snapshot where they are equal."""
        known = before.deployments
        kept = {name: known[name] if known.get(name) == one else one for name, one in self.deployments.items()}
        return replace(self, deployments=MappingProxyType(kept))

    def key(self, digest: bytes, now: datetime) -> Key | None:
        """The valid key with this digest; None for unknown, revoked and expired alike."""
        key = self.keys.find(digest)
        return key if key is not None and key.is_valid(now) else None

    def deployment(self, account: str, deployment_id: str) -> Deployment | None:
        """The account's deployment of this id; None for a missing one and for another account's alike."""
        deployment = self.deployments.get(deployment_id)
        return deployment if deployment is not None and deployment.account == account else None


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """Why the registry still serves an older snapshot: one line per error, and since when (UTC)."""

    lines: tuple[str, ...]
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


def _changed(rows: Mapping[str, _Row], found: Mapping[str, _Row | None]) -> Mapping[str, _Row]:
    if not found:
        return rows
    merged = {**rows, **found}
    return MappingProxyType({name: row for name, row in merged.items() if row is not None})


class ChangeError(Exception):
    """A change to a registry that cannot be made, in one sentence. Nothing was changed."""


class Registry(abc.ABC):
    """Keeps `snapshot` true to its source while it is open.

    `snapshot` is replaced, never changed. `problem` is set while the source cannot be used, and then the last
    good snapshot keeps serving. Every function in `listeners` is called, in the event loop, after either changed.
    """

    place: str | Path | None = None  # of its database: a file, or an SQLAlchemy URL; None for one that is a YAML file
    source = ""  # which it is, of all on this machine; without a password

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.problem: SourceProblem | None = None
        self.listeners: list[Callable[[], None]] = []

    @abc.abstractmethod
    async def open(self) -> None:
        """Load the source, once, and begin to watch it. Raises SourceError if it cannot be used."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Stop watching. Does nothing if it is not open."""

    @abc.abstractmethod
    def look_soon(self) -> None:
        """Look for a change now instead of at the next turn. Returns at once."""

    def replace(self, snapshot: Snapshot, problem: SourceProblem | None = None) -> None:
        """Put a newly read snapshot in place and tell the listeners."""
        self.snapshot, self.problem = snapshot, problem
        for listener in self.listeners:
            listener()
