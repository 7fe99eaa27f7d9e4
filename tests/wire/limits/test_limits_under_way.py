"""Requests under way and tokens, as a gateway counts them: however a request ends, its place is free, once."""

import threading
from contextlib import ExitStack

import pytest

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, breaks_off, chat, until_left
from tests.harness.sockets.upstream_visit import Visit
from tests.wire.limits.limited_keys import in_chunks, key_of, plain


@pytest.mark.parametrize("data", [plain("beside-plain"), in_chunks("beside-chunks")], ids=["fast path", "aiohttp's"])
def test_a_request_beside_another_is_refused_and_one_after_it_is_not(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes
) -> None:
    gateway = limited_gateway
    go_on = threading.Event()

    def hold(visit: Visit) -> None:
        visit.read_body()
        assert go_on.wait(30)
        visit.answer()

    with upstream.playing(hold), gateway.connect() as client:
        client.send(data)
        assert upstream.wait_for(lambda upstream: bool(upstream.requests))
        refused = gateway.ask(data)
        assert (refused.status, refused.header("Retry-After")) == (429, "1")
        assert refused.json()["error"]["message"] == ("Rate limit reached: 1 at a time for this key; try again in 1 s.")
        go_on.set()
        assert client.read_response().status == 200
        for _ in range(50):
            assert client.ask(data).status == 200


def _refuses(visit: Visit) -> None:
    visit.read_body()
    visit.answer(b'{"error":{}}', "500 Internal Server Error")


def _streams(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT)
    visit.chunk(DONE)
    visit.chunk(b"")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "script"), [("breaks-off", breaks_off), ("refuses", _refuses), ("streams", _streams)])
def test_however_a_request_ends_its_place_is_free(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, name: str, script: object
) -> None:
    gateway = limited_gateway
    assert callable(script)
    with upstream.playing(script):
        for data in (plain(name), in_chunks(name)) * 5:
            assert gateway.ask(data).status in {200, 500}
            settled(gateway)


def test_a_client_that_leaves_takes_no_place_with_it(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    gateway = limited_gateway
    for data in (plain("leaves"), in_chunks("leaves")) * 3:
        leave(gateway, upstream, data)
        assert gateway.ask(data).status == 200
        settled(gateway)


def leave(gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes) -> None:
    """Ask, and leave before the answer."""
    upstream.forget()
    left = threading.Event()
    with upstream.playing(until_left(left)):
        with gateway.connect() as client:
            client.send(data)
            assert upstream.wait_for(lambda upstream: bool(upstream.requests))
        assert left.wait(30)
    settled(gateway)


def settled(gateway: GatewayProcess) -> None:
    """Wait until what was asked has its line in the log: then it is settled."""
    gateway.mark_log()


def _tells(visit: Visit) -> None:
    visit.read_body()
    visit.answer(
        b'{"object":"chat.completion","usage":{"completion_tokens":50,"prompt_tokens":250,"total_tokens":300}}'
    )


def test_tokens_are_used_as_the_model_server_counts_them(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    gateway = limited_gateway
    with upstream.playing(_tells):
        for _ in range(4):
            assert gateway.ask(plain("tokens")).status == 200
            settled(gateway)
        spent = gateway.ask(plain("tokens"))
    assert spent.status == 429
    assert spent.header("x-should-retry") == "false"
    assert spent.header("x-ratelimit-limit-tokens") == "1000"
    assert spent.header("x-ratelimit-remaining-tokens") == "0"
    message = spent.json()["error"]["message"]
    assert message.startswith("Budget used up: 1,000 tokens a day for this key; it is new at 20")
    assert (
        gateway.ask(chat("demo", path="/v1/models", key=key_of("tokens"), method="GET", body=None)).status == 200
    )  # it takes none


def left(gateway: GatewayProcess, data: bytes) -> int:
    """How many of the month's tokens are left, once this request has reserved a quarter."""
    told = gateway.ask(data).header("x-ratelimit-remaining-tokens")
    assert told is not None
    settled(gateway)
    return int(told)


@pytest.mark.parametrize("data", [plain("leaves-plain"), in_chunks("leaves-chunks")], ids=["fast path", "aiohttp's"])
def test_who_leaves_before_the_answer_has_used_what_was_reserved(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes
) -> None:
    assert left(limited_gateway, data) == 750
    leave(limited_gateway, upstream, data)
    assert left(limited_gateway, data) == 500


def test_a_model_server_that_breaks_off_before_its_answer_uses_nothing(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    for data in (plain("is-cut"), in_chunks("is-cut")):
        with upstream.playing(Visit.close):
            assert limited_gateway.ask(data).status == 502
        settled(limited_gateway)
        assert left(limited_gateway, data) == 750


@pytest.mark.parametrize(
    "data", [plain("reserves-plain"), in_chunks("reserves-chunks")], ids=["fast path", "aiohttp's"]
)
def test_a_budget_that_runs_only_reserve_is_not_said_to_be_used_up(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes
) -> None:
    go_on = threading.Event()

    def hold(visit: Visit) -> None:
        visit.read_body()
        assert go_on.wait(30)
        visit.answer()

    with upstream.playing(hold), ExitStack() as stack:
        clients = [stack.enter_context(limited_gateway.connect()) for _ in range(4)]
        for client in clients:
            client.send(data)
        assert upstream.wait_for(lambda upstream: len(upstream.requests) == 4)
        refused = limited_gateway.ask(data)
        assert (refused.status, refused.header("Retry-After"), refused.header("x-should-retry")) == (429, "1", "true")
        go_on.set()
        for client in clients:
            assert client.read_response().status == 200
    settled(limited_gateway)
    assert limited_gateway.ask(data).status == 200
