"""What makes hundreds of databases with people in them cheap: migrations run once, and passwords cost little."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from gateway.team.signing_in import passwords
from tests.harness.storage.migrated_once import migrated_once

_SERVED = passwords._hasher


@pytest.fixture(scope="session", autouse=True)
def _cheap_databases() -> Iterator[None]:
    with migrated_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """All else about passwords is as it is served: they only take 8 KiB in place of 64 MiB."""
    yield from _hashing_with(PasswordHasher.from_parameters(CHEAPEST))


@pytest.fixture
def dear_passwords() -> Iterator[None]:
    """Passwords cost what they cost where they are served."""
    yield from _hashing_with(_SERVED)


def _hashing_with(hasher: PasswordHasher) -> Iterator[None]:
    nobody = passwords._THREADS.submit(hasher.hash, "")
    with patch.object(passwords, "_hasher", hasher), patch.object(passwords, "_nobody", nobody):
        yield
