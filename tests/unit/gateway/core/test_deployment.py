"""Deployments: which ids and upstreams can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.deployment import Deployment, check_id, check_upstream, check_upstream_key


@pytest.mark.parametrize("good", ["a", "A1", "llama-3.1_8b", "x" * 64, "0"])
def test_a_plain_name_is_an_id(good: str) -> None:
    assert check_id(good) == good


@pytest.mark.parametrize(
    "bad", ["", "-a", "a-", ".", "..", "a/b", "a b", "a%2fb", "x" * 65, "ä", "a\n", "a\x00", "{{7*7}}", "' OR '1'='1"]
)
def test_what_would_need_escaping_in_a_url_is_no_id(bad: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        check_id(bad)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("http://127.0.0.1:9931", "http://127.0.0.1:9931"),
        ("http://127.0.0.1:9931/", "http://127.0.0.1:9931"),
        ("https://llama.example", "https://llama.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("unix:/run/llama.sock", "unix:/run/llama.sock"),
    ],
)
def test_an_upstream_is_a_scheme_a_host_and_a_port(written: str, kept: str) -> None:
    assert check_upstream(written) == kept


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "file:///etc/passwd",
        "ftp://host",
        "unix:run/llama.sock",
        "unix:",
        "unix:/" + "x" * 120,
        "//host",
        "host:8080",
        "http://",
        "http://:8080",
        "http://user:pw@host",
        "http://user@host",
        "http://h#@x",
        "http://host/path",
        "http://host?query",
        "http://host#fragment",
        "http://host:0",
        "http://host:65536",
        "http://host:-1",
        "http://host:http",
        "http://" + "h" * 300,
        "http://host\r\nX-Evil: 1",
        "http://host:1\n",
        "http://ho st",
        "http://höst",
        "http://[::1",
    ],
)
def test_anything_else_is_refused_as_an_upstream(bad: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        check_upstream(bad)
    assert "pw" not in str(raised.value)


@given(st.text(max_size=60))
def test_any_text_is_an_upstream_or_a_value_error(text: str) -> None:
    try:
        kept = check_upstream("http://" + text)
    except ValueError:
        return
    assert check_upstream(kept) == kept


@pytest.mark.parametrize("bad", ["", "a b", "a\nb", "secret\n", "clé", "a\x00"])
def test_an_upstream_key_that_fits_in_no_header_is_not_quoted(bad: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        check_upstream_key(bad)
    assert not bad or bad not in str(raised.value)


def test_a_deployment_never_shows_its_upstream_key() -> None:
    assert "s3cret" not in repr(Deployment("demo", "acme", "http://h:1", upstream_key="s3cret"))
