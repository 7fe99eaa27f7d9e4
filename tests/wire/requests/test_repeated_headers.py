"""Headers that come on several lines: lists are joined, both ways through the gateway, up and down."""

import pytest

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import warm
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import chunked, request

LISTS = ("Accept", "Accept-Encoding", "Accept-Language", "anthropic-beta", "OpenAI-Beta", "tracestate")
SINGLE = ("Content-Type", "User-Agent", "anthropic-version", "OpenAI-Organization", "traceparent", "x-app")
BODIES = {
    "by length": (b"Content-Length: 2\r\n\r\n{}"),
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"{}"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_list_on_several_lines_goes_up_as_one(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, body: bytes
) -> None:
    warm(witnessed, upstream)
    for name in LISTS:
        upstream.forget()
        lines = (f"{name}: one-2025-01-01", f"{name.lower()}:two, three", f"{name.upper()}:", f"{name}: \tfour\t")
        head = request(scene.CHAT, *lines, key=scene.KEY).removesuffix(b"\r\n")
        assert witnessed.ask(head + body).status == 200
        assert upstream.only_request.values(name) == ["one-2025-01-01, two, three, four"]


def test_a_list_on_one_line_goes_up_as_it_came(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    warm(witnessed, upstream)
    upstream.forget()
    assert witnessed.ask(chat("demo", "anthropic-beta: one,two ,, three")).status == 200
    assert upstream.only_request.values("anthropic-beta") == ["one,two ,, three"]


@pytest.mark.parametrize("name", SINGLE)
def test_of_a_header_that_is_no_list_the_first_goes_up(
    gateway: GatewayProcess, upstream: ScriptedUpstream, name: str
) -> None:
    response = gateway.ask(chat("demo", f"{name}: one", f"{name.lower()}: two"))
    assert response.status in {200, 400}
    assert all(received.values(name) == ["one"] for received in upstream.requests)


def test_a_line_that_must_not_pass_is_left_out_of_the_list(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    lines = (b"anthropic-beta: one", b"anthropic-beta: caf\xc3\xa9", b"anthropic-beta: three")
    assert gateway.ask(chat("demo", *lines)).status == 200
    assert upstream.only_request.values("anthropic-beta") == ["one, three"]


def test_a_list_that_connection_names_does_not_go_up(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    lines = ("anthropic-beta: one", "Connection: anthropic-beta", "anthropic-beta: two")
    assert gateway.ask(chat("demo", *lines)).status == 200
    assert upstream.only_request.values("anthropic-beta") == []


@pytest.mark.parametrize("query", ["", "?beta=true!"], ids=["fast", "by aiohttp"])
def test_the_codings_of_an_answer_come_down_whole(
    gateway: GatewayProcess, upstream: ScriptedUpstream, query: str
) -> None:
    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(
            b"{}",
            "200 OK",
            b"Content-Encoding: deflate",
            b"Retry-After: 1",
            b"Content-Encoding: gzip",
            b"Retry-After: 2",
        )

    with upstream.playing(answer):
        response = gateway.ask(request(scene.CHAT + query, key=scene.KEY, body=b"{}"))
    assert response.header("Content-Encoding") == "deflate, gzip"
    assert response.header("Retry-After") == "1"
