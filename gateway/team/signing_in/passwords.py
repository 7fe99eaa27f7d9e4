"""Passwords: argon2id (RFC 9106). Hashing takes tens of milliseconds and 64 MiB: in a thread, a few at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.team.operation_error import FieldError, Invalid

_LEAST, _MOST = 10, 1000  # characters
_THREADS = ThreadPoolExecutor(2, "password")
_hasher = PasswordHasher()
# What a password is compared with where nobody has the name: it takes as long.
_nobody = _THREADS.submit(_hasher.hash, "")


def check(password: str) -> str:
    """A password that may be chosen. Raises Invalid."""
    if not _LEAST <= len(password) <= _MOST:
        sentence = f"A password has at least {_LEAST} characters, and at most {_MOST}."
        raise Invalid(sentence, [FieldError("password", f"must have {_LEAST} to {_MOST} characters")])
    return password


async def hashed(password: str) -> str:
    """What is stored of a password."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _hasher.hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Whether it is the password that was stored; never for None, which takes as long to say."""
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(_THREADS, _matches, password[:_MOST], stored)
    return fits and stored is not None


def _matches(password: str, stored: str | None) -> bool:
    try:
        return _hasher.verify(stored or _nobody.result(), password)
    except (VerificationError, InvalidHashError):
        return False
