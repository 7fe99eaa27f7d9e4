"""What a Host header may be. The rest of `framing` is proved over sockets, in tests/behaviour."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.server.request_validation import is_host

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True, alphabet=st.characters(codec="ascii"))


@given(st.text(st.sampled_from("abcAZ09.-_~:[]/@#?\\ ,;%é\t")))
@example("a:99999")
@example("[::1")
def test_no_host_holds_what_could_be_read_as_more_than_a_host(text: str) -> None:
    if is_host(text):
        assert not re.search(r"[/@#?\\\s,;%]", text)
        assert text.isascii()
        assert text.count("[") == text.count("]") <= 1


@given(st.lists(LABELS, min_size=1, max_size=4), st.none() | st.integers(0, 65535))
def test_every_name_with_or_without_a_port_is_a_host(labels: list[str], port: int | None) -> None:
    assert is_host(".".join(labels) + ("" if port is None else f":{port}"))


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_a_host(address: object, port: int) -> None:
    text = f"[{address}]" if ":" in str(address) else str(address)
    assert is_host(text)
    assert is_host(f"{text}:{port}")


@given(st.integers(65536, 99999))
def test_no_port_beyond_65535(port: int) -> None:
    assert not is_host(f"a:{port}")
