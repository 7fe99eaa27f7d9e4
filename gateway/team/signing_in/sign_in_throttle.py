"""Slows down who guesses passwords, by name and by address. It never locks anybody out for good."""

import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_network

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core.http.forwarding import parsed_address
from gateway.registry.database.team_tables import failed_sign_ins
from gateway.team.operation_error import OperationError

_FREE = {"name": 5, "address": 20}  # failures that cost nothing: people mistype
_LONGEST = 60.0  # seconds between two attempts, whatever happened before
_FORGOTTEN_AFTER = timedelta(hours=1)


class TooSoon(OperationError):
    """Another attempt may be made in `seconds` (whole)."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many sign-ins have failed. Try again in {seconds} s.")
        self.seconds = seconds


async def begin_attempt(connection: AsyncConnection, name: str, address: str | None) -> None:
    """Raise TooSoon if there were too many failures of late; else count one more, until this turns out to be none.

    What is counted only afterwards would let any number of guesses through that are made at once.
    """
    now, wait = datetime.now(UTC), 0.0
    await connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.last_at < now - _FORGOTTEN_AFTER))
    for kind, subject in _subjects(name, address).items():
        row = (await connection.execute(select(failed_sign_ins).where(failed_sign_ins.c.subject == subject))).first()
        if row is not None and row.failures >= _FREE[kind]:
            doublings = min(row.failures - _FREE[kind], _LONGEST)  # of days of guessing: 2.0 to that power is no float
            pause = min(_LONGEST, 2.0**doublings)
            wait = max(wait, pause - (now - row.last_at).total_seconds())
    if wait > 0:
        raise TooSoon(int(wait) + 1)
    for subject in _subjects(name, address).values():
        counted = {"failures": failed_sign_ins.c.failures + 1, "last_at": now}
        same = failed_sign_ins.c.subject == subject
        done = await connection.execute(update(failed_sign_ins).where(same).values(counted))
        if done.rowcount == 0:
            await connection.execute(insert(failed_sign_ins).values(subject=subject, failures=1, last_at=now))


async def note_success(connection: AsyncConnection, name: str, address: str | None) -> None:
    """Forget the failures of a name: its owner has signed in. Those of the address stay, but for this attempt."""
    await take_back(connection, name, address)
    await forget(connection, name)


async def take_back(connection: AsyncConnection, name: str, address: str | None) -> None:
    """Count an attempt no longer, since it was no guess."""
    mine = failed_sign_ins.c.subject.in_(_subjects(name, address).values())
    await connection.execute(update(failed_sign_ins).where(mine).values(failures=failed_sign_ins.c.failures - 1))


async def forget(connection: AsyncConnection, name: str) -> None:
    """Forget the failures of a name."""
    subject = _subjects(name, None)["name"]
    await connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.subject == subject))


def _subjects(name: str, address: str | None) -> dict[str, str]:
    found = {"name": name.lower()} | ({"address": _owned_with(address)} if address is not None else {})
    return {kind: f"{kind}:{hashlib.sha256(what.encode()).hexdigest()}" for kind, what in found.items()}


def _owned_with(address: str) -> str:
    """The least that is given to one customer: an address, or of IPv6 a /64 (RFC 6177), any of which they may use."""
    found = parsed_address(address)
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address
