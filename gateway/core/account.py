"""Accounts and their keys. Pure: no I/O."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from gateway.core.endpoints import EndpointGroup
from gateway.core.http.forwarding import Network, parsed_address, parsed_network
from gateway.core.secret_text import new_secret_text

KEY_PREFIX = "gw_"
_SHOWN_CHARS = 8  # of a secret, so that people recognise it: 5 of the random ones, 30 bits of 238


class Priority(StrEnum):
    """In which class the requests of a key wait: `batch` only gets what no `interactive` one waits for."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of keys and deployments. `weight` is its share beside other accounts, where requests wait."""

    id: str
    weight: float = 1.0


class Key(NamedTuple):
    """A key as the registry knows it: never its text, only the SHA-256 of it.

    `expires_at` and `revoked_at` are aware datetimes in UTC; None means never.
    `successor_of` is the id of the key this one was rotated from.
    `deployments`, `endpoints` and `networks` (CIDR) are what it is limited to; None is no limit.
    `cut`: the answers that run on it are broken off. `person` is the id of whom it belongs to, if a person made it.
    `priority` and `weight` say how its requests wait, beside others of its account.
    A tuple: there may be very many, and a dataclass takes twice as long to make.
    """

    id: str
    name: str
    account: str
    digest: bytes
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    successor_of: str | None = None
    enabled: bool = True
    cut: bool = False
    deployments: tuple[str, ...] | None = None
    endpoints: tuple[EndpointGroup, ...] | None = None
    networks: tuple[str, ...] | None = None
    person: str | None = None
    priority: Priority = Priority.INTERACTIVE
    weight: float = 1.0

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, name={self.name!r}, account={self.account!r})"

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens its account at `now` (aware)."""
        return self.enabled and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def state(self, now: datetime) -> str:
        """`valid`, or why it is not at `now` (aware): `revoked`, `expired` or `off`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        return "valid" if self.enabled else "off"

    def opens(self, deployment_id: str, group: EndpointGroup) -> bool:
        """Whether it may call this endpoint of this deployment of its account."""
        if self.deployments is not None and deployment_id not in self.deployments:
            return False
        return self.endpoints is None or group in self.endpoints

    def may_come_from(self, address: str | None) -> bool:
        """Whether a client with this address may use it. One whose address is unknown may not, where that matters."""
        return self.networks is None or (address is not None and _is_in(address, self.networks))


@lru_cache(maxsize=4096)
def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an IP address lies in one of these networks (CIDR). An IPv4-mapped one counts as the IPv4 one."""
    found = parsed_address(address)
    return found is not None and any(found in network for network in _networks(networks))


@lru_cache(maxsize=1024)
def _networks(networks: tuple[str, ...]) -> Sequence[Network]:
    return [parsed_network(network) for network in networks]


def new_key_text() -> str:
    """A fresh key: `gw_`, 40 random base62 characters, 6 of checksum. Shown once, stored never."""
    return new_secret_text(KEY_PREFIX)


def new_key_id() -> str:
    """A public name for a key, safe to log: `key_` and 12 hex digits."""
    return "key_" + secrets.token_hex(6)


def shown_prefix(secret: str) -> str:
    """The first characters of a secret's text, by which people recognise it."""
    return secret[:_SHOWN_CHARS]
