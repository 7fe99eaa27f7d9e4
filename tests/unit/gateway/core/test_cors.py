"""Which origins a configuration may name, and which of a browser's origins these allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.cors import LOOPBACK_ORIGINS, Cors, checked_origin, is_origin, preflight_fields

WRITTEN = {
    "http://localhost:*": "http://localhost:*",
    "HTTPS://App.Example.ORG": "https://app.example.org",
    "http://localhost:80": "http://localhost",
    "https://localhost:443": "https://localhost",
    "http://localhost:443": "http://localhost:443",
    "http://localhost:03000": "http://localhost:3000",
    "http://[0:0::1]:*": "http://[::1]:*",
    "chrome-extension://abcdefgh": "chrome-extension://abcdefgh",
    "app://obsidian.md": "app://obsidian.md",
    "*": "*",
}
WRONG = (
    *("", "null", "localhost:3000", "http://", "http://localhost/", "http://localhost:3000/chat", "//localhost"),
    *("http://localhost:0", "http://localhost:70000", "http://localhost:3*", "http://*.example.org", "http://*:*"),
    *("http://user@localhost", "http://bücher.example", "http://[::1::]", "http://[1]", "http://a b", "http://a\n"),
    *("http://localhost, http://other", "http://localhost?x", "*://localhost", "**"),
)


@pytest.mark.parametrize("value", WRITTEN)
def test_an_origin_is_kept_as_browsers_write_it(value: str) -> None:
    assert checked_origin(value) == WRITTEN[value]
    assert checked_origin(WRITTEN[value]) == WRITTEN[value]


@pytest.mark.parametrize("value", WRONG)
def test_what_no_browser_names_its_page_by_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^(an origin is a scheme, a host and perhaps a port|`null` is what)"):
        checked_origin(value)


@pytest.mark.parametrize(
    "origin", ["http://localhost", "http://localhost:1", "http://localhost:65535", "https://app.example.org"]
)
def test_an_origin_that_is_named_is_allowed(origin: str) -> None:
    cors = Cors([checked_origin("http://localhost:*"), checked_origin("https://app.example.org:443")])
    assert cors.allows(origin)
    assert dict(cors.headers(origin).fields) == {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "x-request-id, request-id, retry-after, x-should-retry, *",
        "Vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "*", "http://localhost:*", "https://localhost", "http://localhost.evil.example:80"),
        *("http://localhost:3000.evil.example", "http://localhost:3000@evil.example", "http://evil.example/#localhost"),
        *("http://notlocalhost", "http://LOCALHOST", "http://localhost:", "http://localhost:3000\n", "http://\udcff"),
        *("https://app.example.org:444", "https://app.example.org.", "https://app.example.orgs", "app.example.org"),
    ],
)
def test_any_other_origin_is_told_that_answers_vary_and_no_more(origin: str) -> None:
    cors = Cors(["http://localhost:*", "https://app.example.org"])
    assert not cors.allows(origin)
    assert dict(cors.headers(origin).fields) == {"Vary": "Origin"}
    assert dict(cors.headers(None).fields) == {"Vary": "Origin"}


def test_without_origins_nothing_is_added_and_nobody_allowed() -> None:
    cors = Cors(())
    assert not cors.is_on
    assert not cors.allows("http://localhost")
    assert cors.headers("http://localhost") == cors.headers(None)
    assert cors.headers(None).lines == b""


def test_any_origin_is_allowed_by_a_star_that_no_answer_varies_by() -> None:
    cors = Cors(["*"])
    assert cors.allows("null")
    assert cors.headers("https://a.example") == cors.headers(None)
    assert cors.headers(None).fields["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in cors.headers(None).fields


@given(st.text(max_size=60))
def test_no_configuration_ever_allows_credentials(text: str) -> None:
    for cors in (Cors(["*"]), Cors(LOOPBACK_ORIGINS), Cors([text])):
        assert b"credentials" not in cors.headers(text).lines.lower()
        assert cors.headers(text).fields.get("Access-Control-Allow-Origin") in {None, "*", text}


@given(st.text(), st.text())
def test_a_preflight_is_told_only_tokens(method: str, names: str) -> None:
    for value in preflight_fields(method, names).values():
        assert value.isascii()
        assert value.isprintable() or "\t" in value
    assert preflight_fields("POST", "authorization, x-a")["Access-Control-Allow-Headers"] == "authorization, x-a"


@given(st.text(max_size=400))
def test_what_is_called_an_origin_is_short_and_plain(text: str) -> None:
    assert not is_origin(text) or (len(text) <= 300 and text.isascii() and text.isprintable())
