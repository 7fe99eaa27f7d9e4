"""Accounts and the keys that prove them. Pure: no I/O."""

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

KEY_PREFIX = "gw_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS = 40  # log2(62) * 40 = 238 bits: nothing to guess, so a fast hash suffices to store it
_CHECKSUM_CHARS = 6  # a CRC-32 in base62, so that scanners can tell a key from a random string offline


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of keys and deployments. `created_at` is an aware datetime in UTC; None if nobody noted it."""

    id: str
    created_at: datetime | None = None


class Key(NamedTuple):
    """A key as the registry knows it: never its text, only the SHA-256 of it.

    `expires_at` and `revoked_at` are aware datetimes in UTC; None means never.
    `successor_of` is the id of the key this one was rotated from. A tuple: there may be very many, and a dataclass
    takes twice as long to make.
    """

    id: str
    name: str
    account: str
    digest: bytes
    expires_at: datetime | None = None
    created_at: datetime | None = None
    revoked_at: datetime | None = None
    successor_of: str | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, name={self.name!r}, account={self.account!r})"

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens its account at `now` (aware)."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_key_text() -> str:
    """A fresh key: `gw_`, 40 random base62 characters, 6 of checksum. Shown once, stored never."""
    random = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM_CHARS))
    return KEY_PREFIX + random + _checksum(random)


def new_key_id() -> str:
    """A public name for a key, safe to log: `key_` and 12 hex digits."""
    return "key_" + secrets.token_hex(6)


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key's text.

    Bytes of a header that are not UTF-8 reach Python as lone surrogates (PEP 383); they are hashed as the
    bytes they were, so that no key can raise here and no two keys collide.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARS):
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits
