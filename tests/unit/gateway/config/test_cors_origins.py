"""`server.cors_origins` in the configuration file: what is wrong with it is said with file, line and field."""

import pytest

from gateway.cli.sandbox.definition import read_definition
from gateway.config.document import SourceError
from gateway.config.settings import parse, warnings
from gateway.core.http.cors import LOOPBACK_ORIGINS, Cors

ACCOUNTS = "accounts:\n  acme: {keys: [{name: laptop, key: gw_plain_text_for_sandboxes}]}\n"


def test_origins_are_read_as_browsers_write_them() -> None:
    text = f"server:\n  cors_origins: ['http://localhost:*', HTTPS://App.Example.org:443]\n{ACCOUNTS}"
    assert parse(text, "gw.yaml", {}).server.cors_origins == ("http://localhost:*", "https://app.example.org")
    assert parse(ACCOUNTS, "gw.yaml", {}).server.cors_origins == ()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("http://localhost:3000/", "an origin is a scheme, a host and perhaps a port, like"),
        ("localhost:3000", "an origin is a scheme, a host and perhaps a port, like"),
        ("https://*.example.org", "an origin is a scheme, a host and perhaps a port, like"),
        ('"null"', "`null` is what every sandboxed page calls itself"),
        ("null", "is empty; give it a value or leave the line out"),
        ("5", "must be text; put it in quotes"),
    ],
)
def test_a_wrong_origin_is_named_with_its_line_and_field(value: str, sentence: str) -> None:
    text = f"server:\n  cors_origins:\n    - https://app.example.org\n    - {value}\n{ACCOUNTS}"
    with pytest.raises(SourceError) as raised:
        parse(text, "gw.yaml", {})
    (line,) = raised.value.lines
    assert line.startswith(f"gw.yaml:4: server.cors_origins[1]: {sentence}")


def test_one_origin_that_is_no_list_is_told_what_a_list_looks_like() -> None:
    with pytest.raises(SourceError) as raised:
        parse(f"server: {{cors_origins: 'http://localhost:*'}}\n{ACCOUNTS}", "gw.yaml", {})
    assert raised.value.lines == ("gw.yaml:1: server.cors_origins: must be a list, with lines like `- ...`",)


def test_the_sandbox_lets_in_pages_of_this_machine() -> None:
    server = parse(read_definition().configuration({}, 0), "gw.yaml", {}).server
    assert server.cors_origins == LOOPBACK_ORIGINS
    assert Cors(server.cors_origins).allows("http://[::1]:5173")


def test_every_origin_at_once_is_warned_about() -> None:
    some = parse(f"server: {{cors_origins: ['http://localhost:*']}}\n{ACCOUNTS}", "gw.yaml", {})
    every = parse(f"server: {{cors_origins: ['*']}}\n{ACCOUNTS}", "gw.yaml", {})
    assert warnings(some) == ()
    assert "Web pages of every origin may call the gateway" in warnings(every)[0]
