"""The text of a configuration file that is good: what it means, and what it is warned of."""

from dataclasses import FrozenInstanceError

import pytest

from gateway.config.server_settings import Server
from gateway.config.settings import parse, warnings
from gateway.core.deployment import Status
from tests.unit.gateway.config.settings_texts import CANARY, GOOD, errors_of


def test_the_environment_fills_in_any_string_and_is_never_quoted() -> None:
    text = GOOD.replace("gw_plain_text_for_sandboxes", '"${A}_${B}"')
    assert parse(text, "gw.yaml", {"A": "gw_one", "B": "two"}).accounts["acme"].keys[0].key == "gw_one_two"
    assert "CANARY" not in "".join(errors_of(text, {"A": "CANARY", "B": " "}))


def test_numbers_may_come_from_the_environment() -> None:
    assert parse("server: {port: '${PORT}'}\n" + GOOD, "gw.yaml", {"PORT": "81"}).server.port == 81


def test_the_defaults_are_those_of_the_models() -> None:
    read = parse(GOOD, "gw.yaml", {})
    assert read.server == Server()
    assert read.database is None
    assert read.deployments["demo"].status is Status.AUTO
    assert read.deployments["demo"].upstream_key is None


def test_yaml_is_read_as_people_mean_it() -> None:
    read = parse(
        "accounts: &all\n  acme:\n    keys:\n"
        "      - {name: a, key: gw_12345678, expires_at: 2027-01-01 02:00:00+02:00}\n"
        "deployments:\n  d: &d {account: acme, upstream: 'http://h:1/'}\n  e: *d\n",
        "gw.yaml",
        {},
    )
    assert str(read.accounts["acme"].keys[0].expires_at) == "2027-01-01 00:00:00+00:00"
    assert read.deployments["d"] == read.deployments["e"]
    assert read.deployments["d"].upstream == "http://h:1"


def test_no_secret_is_in_the_repr_of_the_settings() -> None:
    text = (
        GOOD.replace("gw_plain_text_for_sandboxes", CANARY)
        + f"  two: {{account: acme, upstream: 'http://h', upstream_key: {CANARY}}}\n"
    )
    assert "CANARY" not in repr(parse(text, "gw.yaml", {}))


def test_settings_cannot_be_changed() -> None:
    read = parse(GOOD, "gw.yaml", {})
    with pytest.raises(ValueError, match="frozen"):
        read.database = "sqlite://"
    with pytest.raises(FrozenInstanceError):
        read.server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "loud"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("127.8.8.8", False), ("0.0.0.0", True), ("::", True)],
)
def test_plain_keys_are_warned_of_beyond_loopback(host: str, loud: bool) -> None:
    said = "".join(warnings(parse(f"server: {{host: '{host}'}}\n" + GOOD, "gw.yaml", {})))
    assert ("plain text (acme/laptop)" in said) is loud
    assert "gw_plain" not in said


def test_a_configuration_without_any_key_is_warned_of() -> None:
    assert "every request will be answered 401" in warnings(parse("accounts: {}", "gw.yaml", {}))[0]
