"""Requests whose body comes in chunks, or once it is asked for, take the fast path like any other."""

import pytest

from tests.harness import scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import BODY_BYTES, echo, warm, was_fast
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import WireClient, chunked


def head_in_chunks(name: str, *headers: str) -> bytes:
    return chat("demo", f"x-request-id: {name}", "Transfer-Encoding: chunked", *headers, body=None)


def test_chunks_that_come_soon_take_the_fast_path(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen, start = warm(witnessed, upstream), witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        assert client.ask(head_in_chunks("at-once") + chunked(b"in ", b"chunks")).body == b"in chunks"
        client.send(head_in_chunks("apart"))
        client.send(chunked(b"a", b"part"))
        assert client.read_response().body == b"apart"
        assert client.ask(chat("demo", "x-request-id: after", body=b"after")).body == b"after"
    assert was_fast(witnessed, "at-once", start)
    assert was_fast(witnessed, "after", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"in chunks", b"apart", b"after"]
    assert all(received.values("Transfer-Encoding") == [] for received in upstream.requests[seen:])


def test_chunks_that_come_late_are_read_by_aiohttp(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen, start, body = warm(witnessed, upstream), witnessed.mark_log(), chunked(b"slow", b"body")
    with upstream.playing(echo), witnessed.connect() as client:
        client.send(head_in_chunks("late") + body[:6])
        witnessed.wait_until_read(client)
        witnessed.let_pass(0.06)  # three times its patience
        client.send(body[6:])
        assert client.read_response().body == b"slowbody"
    assert not was_fast(witnessed, "late", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"slowbody"]


def test_chunks_beyond_the_limit_are_refused(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen = warm(witnessed, upstream)
    assert witnessed.ask(head_in_chunks("large") + chunked(b"x" * (BODY_BYTES + 1))).status == 413
    assert len(upstream.requests) == seen


def invited(client: WireClient, head: bytes) -> None:
    client.send(head)
    assert client.read_head() == b"HTTP/1.1 100 Continue"


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_who_waits_to_be_told_is_told_once(witnessed: GatewayProcess, upstream: ScriptedUpstream, framing: str) -> None:
    line = f"Content-Length: {len(scene.BODY)}" if framing == "length" else "Transfer-Encoding: chunked"
    body = scene.BODY if framing == "length" else chunked(scene.BODY)
    seen, start = warm(witnessed, upstream), witnessed.mark_log()
    names = [f"{'late' if number % 4 == 3 else 'soon'}-{number}" for number in range(12)]
    with upstream.playing(echo), witnessed.connect() as client:
        for name in names:
            invited(client, chat("demo", f"x-request-id: {name}", "Expect: 100-continue", line, body=None))
            if name.startswith("late"):
                witnessed.let_pass(0.06)
            client.send(body)
            response = client.read_response()
            assert (response.status, response.body, response.interim) == (200, scene.BODY, 0), name
    assert [received.body for received in upstream.requests[seen:]] == [scene.BODY] * len(names)
    fast = [name for name in names if was_fast(witnessed, name, start)]
    assert fast  # all that were soon, but on a machine that pauses
    assert not [name for name in fast if name.startswith("late")]
