"""The settings that are addresses: where to listen, whom to believe, and what is said of a slip."""

import pytest

from gateway.config.document import SourceError
from gateway.config.server_settings import Server
from gateway.config.settings import parse, warnings

DATABASE = "database: sqlite+aiosqlite:///gateway.db\n"


def server_of(section: str) -> Server:
    return parse(f"server: {section}\n{DATABASE}", "gateway.yaml", {}).server


def complaint_about(section: str) -> str:
    with pytest.raises(SourceError) as caught:
        server_of(section)
    return str(caught.value.lines[0])


def test_proxies_are_addresses_and_networks_of_both_families() -> None:
    proxies = server_of("{trusted_proxies: [127.0.0.1, 10.0.0.0/8, '::1', '2001:DB8::/32']}").trusted_proxies
    assert proxies == ("127.0.0.1/32", "10.0.0.0/8", "::1/128", "2001:db8::/32")


def test_an_ipv4_mapped_network_is_the_ipv4_one() -> None:
    section = "{trusted_proxies: ['::ffff:10.0.0.0/104', '::ffff:192.0.2.7', '::ffff:0:0/96', '::/0']}"
    assert server_of(section).trusted_proxies == ("10.0.0.0/8", "192.0.2.7/32", "0.0.0.0/0", "::/0")


@pytest.mark.parametrize("slip", ["10.1.0.0/8", "::ffff:10.1.0.0/104", "proxy.lan", "10.0.0.0/33", "", "*"])
def test_what_is_no_network_is_refused_at_its_place(slip: str) -> None:
    said = complaint_about(f"{{trusted_proxies: [127.0.0.1, '{slip}']}}")
    assert said.startswith("gateway.yaml:1: server.trusted_proxies[1]: is neither an address nor a network")


def test_a_host_is_one_or_several() -> None:
    assert server_of("{}").host == ("127.0.0.1",)
    assert server_of("{host: '::'}").host == ("::",)
    assert server_of("{host: [127.0.0.1, '::1']}").host == ("127.0.0.1", "::1")
    assert server_of("{admin: {port: 9090}}").admin == server_of("{admin: {host: [127.0.0.1], port: 9090}}").admin


HOSTS = {
    "an odd one": ("{host: 'a b'}", "server.host: a host is a name or an address"),
    "an odd one among others": ("{host: [127.0.0.1, 'a/b']}", "server.host[1]: a host is a name or an address"),
    "none": ("{host: []}", "server.host: names no address"),
    "an empty one": ("{host: ''}", "server.host: a host is a name or an address"),
    "nothing": ("{host: }", "server.host: is empty"),
    "a mapping": ("{host: {a: b}}", "server.host: must be text"),
    "no port for the operator": ("{admin: {host: 127.0.0.1}}", "server.admin.port: is required"),
    "clients' port": ("{port: 9090, admin: {port: 9090}}", "server.admin: has the port of `server.port`"),
    "clients' port, everywhere": (
        "{host: '::', port: 9090, admin: {port: 9090}}",
        "server.admin: has the port of `server.port`",
    ),
}


@pytest.mark.parametrize(("section", "complaint"), HOSTS.values(), ids=HOSTS)
def test_a_slip_in_an_address_is_told_at_its_place(section: str, complaint: str) -> None:
    assert complaint_about(section).startswith(f"gateway.yaml:1: {complaint}")


def test_one_port_on_two_addresses_is_fine() -> None:
    admin = server_of("{host: 192.0.2.1, port: 9090, admin: {host: 127.0.0.1, port: 9090}}").admin
    assert admin is not None
    assert admin.port == 9090


@pytest.mark.parametrize(
    ("section", "warned"),
    [
        ("{admin: {port: 9090}}", False),
        ("{admin: {host: 10.0.0.5, port: 9090}}", True),
        ("{admin: {host: 10.0.0.5, port: 9090}, status_page: everyone}", True),
        ("{admin: {host: 10.0.0.5, port: 9090}, status_page: everyone, metrics: everyone}", False),
        ("{admin: {host: 10.0.0.5, port: 9090}, status_page: off, metrics: everyone}", False),
    ],
)
def test_an_operators_port_that_nobody_can_use_from_afar_is_warned_of(section: str, warned: bool) -> None:
    said = warnings(parse(f"server: {section}\n{DATABASE}", "gateway.yaml", {}))
    assert any(line.startswith("server.admin listens beyond this machine") for line in said) is warned


def test_a_key_in_plain_text_is_warned_of_if_any_address_is_beyond() -> None:
    text = "server: {host: [127.0.0.1, 192.0.2.1]}\naccounts: {acme: {keys: [{name: a, key: plain-key-1}]}}\n"
    assert any("as plain text" in line for line in warnings(parse(text, "gateway.yaml", {})))
