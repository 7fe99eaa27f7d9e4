"""The settings that are addresses: whom to believe, and what is said of a slip."""

import pytest

from gateway.config.document import SourceError
from gateway.config.settings import Server, parse

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


@pytest.mark.parametrize("slip", ["10.1.0.0/8", "proxy.lan", "10.0.0.0/33", "", "*"])
def test_what_is_no_network_is_refused_at_its_place(slip: str) -> None:
    said = complaint_about(f"{{trusted_proxies: [127.0.0.1, '{slip}']}}")
    assert said.startswith("gateway.yaml:1: server.trusted_proxies[1]: is neither an address nor a network")
