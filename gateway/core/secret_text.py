"""The texts of keys, admin tokens, sessions and invitations: random, with a checksum. Shown once, stored never."""

import hashlib
import secrets
import string
import zlib

ADMIN_TOKEN_PREFIX = "gwa_"  # noqa: S105  the beginning of every token
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS = 40  # log2(62) * 40 = 238 bits: nothing to guess, so a fast hash suffices to store it
_CHECKSUM_CHARS = 6  # a CRC-32 in base62, so that scanners can tell a secret from a random string offline


def new_secret_text(prefix: str) -> str:
    """A fresh secret: the prefix, which says what it is, 40 random base62 characters, and 6 of checksum."""
    random = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM_CHARS))
    return prefix + random + _checksum(random)


def digest_of(secret: str) -> bytes:
    """The SHA-256 of a secret's text.

    Bytes of a header that are not UTF-8 reach Python as lone surrogates (PEP 383); they are hashed as the
    bytes they were, so that no secret can raise here and no two collide.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARS):
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits
