"""What the mock remembers, and what it forgets first."""

import pytest

from mockserver import MockLlamaServer
from mockserver.play.journal import ExchangeEnd, Journal, JournalFilter
from tests.harness.sockets.rawhttp import ask


def test_the_oldest_bodies_make_room_and_their_size_is_still_known() -> None:
    kept = Journal(bodies_limit=10)
    first, second = (kept.open_entry("POST", path, []) for path in ("/a", "/b"))
    kept.record_request_body(first, b"x" * 6)
    kept.record_request_body(second, b"y" * 6)
    assert (first.body, first.body_bytes, second.body) == (b"", 6, b"y" * 6)


def test_a_long_body_is_cut_and_counted() -> None:
    kept = Journal(body_limit=3)
    exchange = kept.open_entry("POST", "/a", [])
    kept.record_request_body(exchange, b"12345")
    assert (exchange.body, exchange.body_bytes) == (b"123", 5)


def test_only_the_last_exchanges_are_kept_and_ids_go_on() -> None:
    kept = Journal(limit=2)
    for path in ("/a", "/b", "/c"):
        kept.open_entry("GET", path, [])
    assert [(exchange.id, exchange.path) for exchange in kept] == [(2, "/b"), (3, "/c")]
    kept.clear()
    assert kept.open_entry("GET", "/d", []).id == 4


def test_the_first_ending_counts() -> None:
    exchange = Journal().open_entry("GET", "/", [])
    exchange.close(ExchangeEnd.CUT)
    exchange.close(ExchangeEnd.ABORTED, 12)
    assert (exchange.ended, exchange.bytes_sent) == (ExchangeEnd.CUT, 12)
    assert exchange.how.startswith("cut by the mock after ")


def test_a_filter_takes_what_matches_all_it_names() -> None:
    kept = Journal()
    exchange = kept.open_entry("POST", "/v1/messages?beta=true", [])
    exchange.status = 200
    assert JournalFilter(method="POST", path="/v1/messages", status=200, ended="running")(exchange)
    assert not JournalFilter(path="/v1/messages", status=404)(exchange)
    assert not JournalFilter(after=exchange.id)(exchange)


async def test_waiting_ends_with_the_exchange_that_makes_the_count() -> None:
    kept = Journal()
    kept.open_entry("GET", "/a", [])
    with pytest.raises(TimeoutError):
        await kept.wait(JournalFilter(path="/a"), 2, timeout=0.01)
    kept.open_entry("GET", "/a", [])
    assert len(await kept.wait(JournalFilter(path="/a"), 2)) == 2


async def test_a_wait_in_vain_lists_what_was_received() -> None:
    async with MockLlamaServer() as mock:
        await ask(mock.url, "GET", "/health")
        with pytest.raises(TimeoutError) as caught:
            await mock.wait_for_requests(2, timeout=0.05, path="/props")
    message, count, line = str(caught.value).splitlines()
    assert message == "fewer than 2 request(s) with path='/props' in 0.05 s."
    assert count == "the mock received 1 request(s):"
    assert line == "  <#1 GET /health, 0 B -> 200, finished>"


async def test_the_control_port_leaves_out_probes_if_asked_to() -> None:
    async with MockLlamaServer() as mock:
        for path in ("/health", "/v1/models"):
            await ask(mock.url, "GET", path)
        shown = (await ask(mock.control_url, "GET", "/__mock__/requests?probes=false")).json()
        assert [entry["path"] for entry in shown["requests"]] == ["/v1/models"]
        assert (await ask(mock.control_url, "GET", "/__mock__/requests?probes=no")).status == 400
