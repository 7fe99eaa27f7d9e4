"""Which headers carry a key, and which pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.http.headers import (
    KEY_HEADERS,
    KEYS_DIFFER,
    NO_DIGESTS,
    downward,
    is_sane_request_id,
    presented_digest,
    upward,
)
from gateway.core.secret_text import digest_of

# What a header's value can be once aiohttp has decoded it: any text, lone surrogates included.
# Of the surrogates only those come that stand for bytes which are no UTF-8 (PEP 383).
_BYTES = st.binary().filter(lambda value: not set(value) & set(b"\r\n\0"))
VALUES = _BYTES.map(lambda value: value.decode("utf-8", "surrogateescape"))
NAMES = st.sampled_from([*KEY_HEADERS, "Authorization", "X-API-Key", "cookie", "accept"])
RAW = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=40)))


def told(*headers: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(headers))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_no_header_can_raise_and_no_key_is_empty(headers: list[tuple[str, str]]) -> None:
    assert presented_digest(told(*headers)) != digest_of("")


@given(VALUES, VALUES)
def test_two_keys_that_differ_are_none(one: str, other: str) -> None:
    digest = presented_digest(told(("x-api-key", one), ("key", other)))
    if one.strip(" \t") == other.strip(" \t"):
        assert digest in {*NO_DIGESTS, digest_of(one.strip(" \t"))}
    else:
        assert digest == KEYS_DIFFER


@pytest.mark.parametrize("name", KEY_HEADERS)
def test_where_a_key_is_accepted_it_is_also_stripped(name: str) -> None:
    value = b"Bearer secret-key"
    presented = told((name, "Bearer secret-key" if name == "authorization" else "secret-key"))
    assert presented_digest(presented) == digest_of("secret-key")
    for spelled in (name, name.upper(), name.title()):
        assert list(upward([(spelled.encode(), value)])) == []
        assert downward({spelled.encode(): value}) == []


@given(RAW)
def test_whatever_comes_only_plain_values_go_up_each_once(headers: list[tuple[bytes, bytes]]) -> None:
    passed = list(upward([*headers, (b"Accept", b"x")]))
    names = [name for name, _ in passed]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.decode() not in KEY_HEADERS for name in names)
    assert not any(byte in value for _, value in passed for byte in (b"\r", b"\n", b"\0"))


@given(st.binary(max_size=60))
def test_no_value_of_a_model_server_can_begin_a_line(value: bytes) -> None:
    for line in downward({b"content-type": value}):
        assert b"\r" not in line
        assert b"\n" not in line


def test_a_header_named_by_connection_does_not_go_up() -> None:
    headers = [(b"Connection", b"close, Accept"), (b"accept", b"x"), (b"user-agent", b"y")]
    assert list(upward(headers)) == [(b"user-agent", b"y")]


@given(st.text(max_size=200))
def test_a_sane_request_id_is_short_and_plain(text: str) -> None:
    if is_sane_request_id(text):
        assert text.isascii()
        assert 1 <= len(text) <= 128
        assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
