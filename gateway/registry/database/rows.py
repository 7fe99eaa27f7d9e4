"""What the rows of the database mean, whichever reader has read them.

A reader reads all rows once, and from then on those that changes concerned. Each change is one revision, and has left
word of its rows in the table `changes` (`gateway/registry/database/transaction.py`). Where word of a revision is
missing, because it was long ago or the tables were changed by another hand, all rows are read again.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from gateway.core.account import Account, Key, Priority
from gateway.core.deployment import Deployment, Limits, Status, Timeouts
from gateway.core.endpoints import DEFAULT_GROUPS, EndpointGroup
from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.registry.base import Difference, Snapshot

HEAD = "0007"  # the newest file in migrations/versions
VERSION_TABLE = "gateway_schema"
_PRIORITIES = {priority.value: priority for priority in Priority}
TABLES = ("accounts", "keys", "deployments", "limits")  # that are read
KEY_COLUMNS = (
    *("id", "name", "account", "digest", "expires_at", "revoked_at", "successor_of", "enabled", "cut"),
    *("deployments", "endpoints", "networks", "created_by", "priority", "weight"),
)


class DatabaseRow(Protocol):
    """A row, its values by the names of the columns."""

    def __getitem__(self, name: str, /) -> Any: ...


def account_of(row: DatabaseRow) -> Account:
    """An account from its row. Raises ValueError if the row is not one the gateway wrote."""
    return Account(row["id"], row["weight"])


def key_of(row: DatabaseRow) -> Key:
    """A key from its row. Raises ValueError if the row is not one the gateway wrote."""
    return key_of_values([row[name] for name in KEY_COLUMNS])


def key_of_values(row: Iterable[Any]) -> Key:
    """A key from its KEY_COLUMNS, in their order. Raises ValueError if they are not what the gateway wrote.

    There may be very many: to look for each value by name takes as long as all else, what is mostly NULL costs no
    call, and an account's name is kept once.
    """
    id_, name, account, digest, ends, revoked, old, on, cut, served, groups, networks, person, rank, weight = row
    return Key(
        id_,
        name,
        sys.intern(account),
        bytes.fromhex(digest),
        None if ends is None else _moment(ends),
        None if revoked is None else _moment(revoked),
        old,
        bool(on),
        bool(cut),
        None if served is None else _listed(served),
        None if groups is None else _groups(groups),
        None if networks is None else _listed(networks),
        person,
        _PRIORITIES[rank],
        weight,
    )


def limit_of(row: DatabaseRow) -> RateLimit:
    """A limit from its row. Raises ValueError if the row is not one the gateway wrote."""
    return RateLimit(
        row["id"],
        SubjectKind(row["subject_kind"]),
        row["subject"],
        Measure(row["measure"]),
        row["amount"],
        row["deployment"] or None,
        bool(row["shadow"]),
        row["counts_as"],
    )


class Defaults(NamedTuple):
    """The defaults for a deployment that sets nothing of its own."""

    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()


def deployment_of(row: DatabaseRow, default: Defaults) -> Deployment:
    """A deployment from its row. Raises ValueError if the row is not one the gateway wrote."""
    return Deployment(
        id=row["id"],
        account=row["account"],
        upstream=row["upstream"],
        upstream_key=row["upstream_key"],
        status=Status(row["status"]),
        timeouts=Timeouts(
            connect=default.timeouts.connect if row["connect"] is None else row["connect"],
            first_byte=default.timeouts.first_byte if row["first_byte"] is None else row["first_byte"],
            silence=default.timeouts.silence if row["silence"] is None else row["silence"],
            queue=default.timeouts.queue if row["queue"] is None else row["queue"],
            longest_wait=default.timeouts.longest_wait,
        ),
        limits=Limits(
            connections=default.limits.connections if row["connections"] is None else row["connections"],
            waiting=default.limits.waiting if row["waiting"] is None else row["waiting"],
        ),
        ping=row["ping"],
        ca_file=row["ca_file"],
        endpoints=_groups(row["endpoints"]),
    )


class Read(NamedTuple):
    """What a database holds at a revision."""

    revision: int
    snapshot: Snapshot


Rows = Mapping[str, Mapping[str, DatabaseRow | None]]  # by table, and there by id; None for a row that is no more


def everything(
    revision: int, key_rows: Iterable[Iterable[Any]], rows: Mapping[str, Iterable[DatabaseRow]], default: Defaults
) -> Read:
    """What all rows of all tables say: of the keys their KEY_COLUMNS, in their order."""
    keys = [key_of_values(row) for row in key_rows]
    deployments = (deployment_of(row, default) for row in rows["deployments"])
    accounts, limits = map(account_of, rows["accounts"]), map(limit_of, rows["limits"])
    return Read(revision, Snapshot.of(keys, deployments, accounts, limits))


def followed(before: Read, revision: int, rows: Rows, default: Defaults) -> Read:
    """What is there after the changes in these rows."""
    found = Difference(
        {name: None if row is None else key_of(row) for name, row in rows["keys"].items()},
        {name: None if row is None else deployment_of(row, default) for name, row in rows["deployments"].items()},
        {name: None if row is None else account_of(row) for name, row in rows["accounts"].items()},
        {name: None if row is None else limit_of(row) for name, row in rows["limits"].items()},
    )
    return Read(revision, before.snapshot.changed(found))


def _listed(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.split(","))


def _groups(value: str | None) -> tuple[EndpointGroup, ...]:
    return DEFAULT_GROUPS if value is None else tuple(map(EndpointGroup, value.split(",")))


def _moment(value: datetime | str) -> datetime:
    """An aware datetime: SQLite stores text, in UTC and without saying so."""
    return datetime.fromisoformat(value + "+00:00") if isinstance(value, str) else value
