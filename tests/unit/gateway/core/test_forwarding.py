"""What proxies say: that there is one, and whose request it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.forwarding import TrustedProxies, shows_proxy

CLIENT, PROXY, CDN = "203.0.113.9", "10.0.0.1", "2001:db8::7"
TRUSTED = TrustedProxies(("10.0.0.0/8", "127.0.0.1", "2001:db8::/32"))

TEXTS = st.text(st.characters(exclude_characters="\r\n\0"))

# The values of X-Forwarded-For, one for each time the header came, and whose request it is when it came from PROXY.
FORWARDED = {
    "none": ((), PROXY),
    "one": ((CLIENT,), CLIENT),
    "spaces": ((f" \t{CLIENT} ",), CLIENT),
    "what the client claims stands left": ((f"198.51.100.1, {CLIENT}",), CLIENT),
    "a header that the client sent itself": (("198.51.100.1", CLIENT), CLIENT),
    "proxies in a row": ((f"198.51.100.1, {CLIENT}, {CDN}, 10.9.9.9",), CLIENT),
    "proxies in headers of their own": ((CLIENT, CDN, "10.9.9.9"), CLIENT),
    "trusted ones only": ((f"{CDN}, 10.9.9.9",), CDN),
    "a port": ((f"{CLIENT}:4711",), CLIENT),
    "brackets": (("[2001:470::1]:4711",), "2001:470::1"),
    "mapped": ((f"::ffff:{CLIENT}",), CLIENT),
    "a zone": (("fe80::1%gw_secret",), "fe80::1"),
    "no address": (("unknown",), PROXY),
    "no address behind a proxy": ((f"{CLIENT}, _hidden, 10.9.9.9",), "10.9.9.9"),
    "nothing between commas": ((f"{CLIENT}, ",), PROXY),
    "fifty proxies": ((CLIENT, *["10.9.9.9"] * 49), CLIENT),
    "thousands of proxies": ((CLIENT, *["10.9.9.9"] * 5000), "10.9.9.9"),
}


@pytest.mark.parametrize(("values", "client"), FORWARDED.values(), ids=FORWARDED)
def test_of_a_trusted_proxy_it_is_the_first_untrusted_from_the_right(values: tuple[str, ...], client: str) -> None:
    assert TRUSTED.client_of(PROXY, values) == client
    assert TRUSTED.client_of(f"::ffff:{PROXY}", values) == client


def test_a_trusted_network_may_be_written_as_ipv4_mapped() -> None:
    trusted = TrustedProxies(("::ffff:10.0.0.0/104",))
    assert [trusted.client_of(peer, (CLIENT,)) for peer in (PROXY, f"::ffff:{PROXY}", CDN)] == [CLIENT, CLIENT, CDN]


@given(st.lists(TEXTS))
def test_the_word_of_anybody_else_counts_for_nothing(values: list[str]) -> None:
    assert TRUSTED.client_of("198.51.100.7", values) == "198.51.100.7"
    assert TrustedProxies().client_of(PROXY, [*values, CLIENT]) == PROXY


@given(st.lists(TEXTS))
def test_whatever_a_proxy_says_an_address_comes_out(values: list[str]) -> None:
    client = TRUSTED.client_of(PROXY, values)
    assert client is not None
    assert set(client) <= set("0123456789abcdef.:")


@pytest.mark.parametrize("peer", [None, "", "not an address"])
def test_without_a_peer_there_is_no_client(peer: str | None) -> None:
    assert TRUSTED.client_of(peer, (CLIENT,)) is None


# What each adds by itself, or its own guide says to add.
BY_PROXIES = {
    "NGINX": ("X-Real-IP", "X-Forwarded-Proto", "X-Nginx-Proxy", "X-Scheme", "X-Original-URI"),
    "Caddy, HAProxy": ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded"),
    "Traefik": ("X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Port"),
    "Envoy": ("X-Envoy-External-Address", "x-envoy-expected-rq-timeout-ms"),
    "Cloudflare": ("CF-Connecting-IP", "CF-Ray", "CDN-Loop", "True-Client-IP", "Cf-Warp-Tag-Id"),
    "Amazon": ("X-Amzn-Trace-Id", "CloudFront-Viewer-Address", "Via"),
    "Google": ("X-Cloud-Trace-Context", "X-AppEngine-User-IP"),
    "Azure": ("X-Azure-ClientIP", "X-ARR-LOG-ID", "X-Original-Host"),
    "others": ("Fastly-Client-IP", "Fly-Client-IP", "X-Cluster-Client-IP", "Tailscale-User-Login", "X-Client-IP"),
}


@pytest.mark.parametrize("names", BY_PROXIES.values(), ids=BY_PROXIES)
def test_each_header_that_proxies_add_shows_one_however_it_is_written(names: tuple[str, ...]) -> None:
    for name in names:
        assert shows_proxy(["Host", name])
        assert shows_proxy([name.lower()])
        assert shows_proxy([name.upper()])


def test_what_browsers_and_prometheus_send_shows_none() -> None:
    browser = ("Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Connection", "Cookie", "Referer")
    fetch = ("Sec-Fetch-Site", "Sec-CH-UA", "Upgrade-Insecure-Requests", "Priority", "DNT", "Cache-Control", "Pragma")
    scraper = ("X-Prometheus-Scrape-Timeout-Seconds", "Last-Event-ID", "Origin", "traceparent")
    assert not shows_proxy((*browser, *fetch, *scraper))
