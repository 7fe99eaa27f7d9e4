"""Keys: what they look like, and when they open their account."""

import string
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.account import Key, new_key_id, new_key_text
from gateway.core.secret_text import digest_of

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def a_key(**fields: datetime | tuple[str, ...]) -> Key:
    return Key("key_1", "laptop", "acme", digest_of("gw_x"), **fields)  # type: ignore[arg-type]


def test_a_key_has_its_prefix_and_238_random_bits() -> None:
    texts = {new_key_text() for _ in range(200)}
    assert len(texts) == 200
    assert all(len(text) == 49 and text.startswith("gw_") and text[3:].isalnum() and text.isascii() for text in texts)


def test_the_last_six_characters_are_the_crc_32_of_the_random_ones() -> None:
    text = new_key_text()
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number = 0
    for character in text[43:]:
        number = number * 62 + digits.index(character)
    assert number == zlib.crc32(text[3:43].encode())


def test_ids_of_keys_do_not_repeat() -> None:
    assert len({new_key_id() for _ in range(1000)}) == 1000


def test_a_key_never_shows_its_digest() -> None:
    assert digest_of("gw_x").hex() not in repr(a_key())
    assert str(digest_of("gw_x")) not in repr(a_key())


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ({}, True),
        ({"expires_at": NOW + timedelta(microseconds=1)}, True),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW - timedelta(seconds=1)}, False),
        ({"revoked_at": NOW + timedelta(days=1)}, False),
        ({"revoked_at": NOW, "expires_at": NOW + timedelta(days=1)}, False),
    ],
)
def test_a_key_opens_its_account_until_it_expires_or_is_revoked(fields: dict[str, datetime], valid: bool) -> None:
    assert a_key(**fields).is_valid(NOW) is valid


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::ffff:10.0.0.0/104"])
@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("::ffff:11.1.2.3", False), (None, False)],
)
def test_an_ipv4_network_may_be_mapped_and_so_may_a_client(network: str, address: str | None, expected: bool) -> None:
    assert a_key(networks=(network,)).may_come_from(address) is expected


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_header_bytes_can_be_hashed_and_no_two_collide(one: bytes, other: bytes) -> None:
    digests = [digest_of(raw.decode("utf-8", "surrogateescape")) for raw in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)
