"""The two ways through the gateway: plain requests go past aiohttp's parser, others through it, and none can tell."""

import re
import signal
from dataclasses import dataclass

import pytest

from tests.harness import contract, scene
from tests.harness.patience import wait_until
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import BODY_BYTES, Held, echo, line_of, warm, was_fast, witnessed_config
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat, says
from tests.harness.sockets.upstream_visit import Script, Visit
from tests.harness.sockets.wire_client import Closed, WireClient, chunked, request

# --- both ways


@dataclass(frozen=True)
class Outcome:
    """What client and upstream see of one request. `reset`: how the client's connection ended, if it did."""

    answer: bytes
    whole: bool
    reset: bool | None
    upward: bytes


def outcome(gateway: GatewayProcess, upstream: ScriptedUpstream, script: Script, data: bytes, name: str) -> Outcome:
    """What comes of a request that finds an idle connection to its upstream."""
    wait_until(
        lambda: gateway.ask(chat()).status == 200 and gateway.connections("demo", "idle"),
        what="no connection stays idle",
    )
    seen = len(upstream.requests)
    whole, reset = False, None
    with upstream.playing(script), gateway.connect() as client:
        client.send(data.replace(b"NAME", name.encode()))
        try:
            whole = client.read_response().whole
        except Closed as closed:
            reset = closed.reset
        answer = bytes(client.received)
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
        upward = b"".join(received.raw for received in upstream.requests[seen:])
        if reset is None:
            reset = is_ended_by(client)
    answer = re.sub(rb"Date: [^\r]+", b"Date: then", answer).replace(name.encode(), b"NAME")
    return Outcome(answer, whole, reset, upward)


def is_ended_by(client: WireClient) -> bool | None:
    """How the connection ended, None if it serves another request."""
    try:
        client.ask(request("/api/gguf/never/api/hello", method="GET"))
    except Closed as closed:
        return closed.reset
    return None


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = b'{"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'


def told(status: bytes, body: bytes = b'{"error":{"message":"no"}}', *headers: bytes) -> bytes:
    """An answer of the upstream, by its length."""
    lines = (b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def end(visit: Visit) -> None:
    visit.close()


ANSWERS: dict[str, Script] = {
    "by-length": says(told(b"200 OK", USAGE, b"openai-processing-ms: 5", b"X-Secret: a", b"Set-Cookie: a=b")),
    "empty": says(told(b"200 OK", b"")),
    "chunked": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"{", USAGE[1:])),
    "large": says(told(b"200 OK", b"x" * 1_000_000)),
    "stream": says(STREAM + chunked(EVENT, EVENT, b"data: " + USAGE + b"\n\n", DONE)),
    "204": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": says(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "400": says(told(b"400 Bad Request")),
    "404": says(told(b"404 Nowhere To Be Found")),
    "429": says(told(b"429 Too Many Requests", b"{}", b"Retry-After: 7")),
    "500": says(told(b"500 Oh No", b"<h1>no</h1>")),
    "599": says(told(b"599 Strange")),
    "503": says(told(b"503 Busy")),
    "loading": says(told(b"503 Service Unavailable", b'{"error":{"message":"Loading model","code":503}}')),
    "until-the-end": says(HEAD + b"\r\n" + USAGE, then=end),
    "stream-until-the-end": says(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENT + DONE, then=end
    ),
    "redirect": says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
    "401": says(told(b"401 Unauthorized")),
    "403": says(told(b"403 Forbidden")),
    "interim": says(b"HTTP/1.1 100 Continue\r\n\r\n" + told(b"200 OK", USAGE)),
    "closes-after-it": says(told(b"200 OK", USAGE, b"Connection: close"), then=end),
    "surplus": says(told(b"200 OK", USAGE) + b"HTTP/1.1 200 OK\r\n"),
    "cut-before-the-head": says(then=end),
    "cut-in-the-head": says(b"HTTP/1.1 200 O", then=end),
    "cut-in-the-body": says(HEAD + b"Content-Length: 500\r\n\r\n" + USAGE, then=end),
    "cut-in-a-chunk": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\n44\r\n" + USAGE[:9], then=end),
    "cut-in-a-stream": says(STREAM + chunked(EVENT, EVENT)[:-9], then=end),
    "reset": says(then=lambda visit: visit.reset()),
    "garbage": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "garbage-after-the-head": says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "two-lengths": says(HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    "protocols-switched": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/embeddings"])
def test_whatever_the_upstream_answers_both_ways_pass_on_the_same(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    method, body = ("GET", None) if path == "/v1/models" else ("POST", scene.BODY)
    sent = chat(
        "demo", "x-request-id: NAME", "Accept: */*", "X-Stainless-OS: Linux", path=path, method=method, body=body
    )
    queried = sent.replace(b" HTTP/1.1\r\n", b"?x=y! HTTP/1.1\r\n", 1)
    start = witnessed.mark_log()
    for name, script in ANSWERS.items():
        plain = outcome(witnessed, upstream, script, sent, f"{name}-a")
        assert plain == outcome(witnessed, upstream, script, queried, f"{name}-b"), name
    for name in ANSWERS:
        assert was_fast(witnessed, f"{name}-a", start), name
        assert not was_fast(witnessed, f"{name}-b", start), name
        assert line_of(witnessed, f"{name}-a", start) == line_of(witnessed, f"{name}-b", start)


REFUSED = {
    contract.BAD_KEY: chat(key="CANARYKEY-unknown"),
    contract.NO_DEPLOYMENT: chat("foreign"),
    contract.EMPTY_BODY: chat(body=b""),
    contract.wrong_method("GET, HEAD"): chat(path="/v1/models"),
    contract.too_large(BODY_BYTES): chat(body=b"x" * (BODY_BYTES + 1)),
    contract.TIMED_OUT: chat("brisk", body=b"wait for it"),
}


@pytest.mark.slow
@pytest.mark.parametrize("query", [b"", b"?x=y!"])
def test_both_ways_refuse_the_same_though_the_head_is_remembered(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    def silent(visit: Visit) -> None:
        visit.read_body()
        visit.wait_until_left()

    for _ in range(2):
        for promise, sent in REFUSED.items():
            warm(witnessed, upstream, "brisk")
            with upstream.playing(silent):
                assert promise.is_kept_by(witnessed.ask(sent.replace(b" HTTP", query + b" HTTP", 1)))
    assert sum(received.body != scene.BODY for received in upstream.requests) == 2  # those that time out


def test_a_body_up_to_the_limit_takes_the_fast_path_and_no_larger_one(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo):
        for size, status in ((BODY_BYTES, 200), (BODY_BYTES + 1, 413), (BODY_BYTES, 200)):
            assert witnessed.ask(chat("demo", f"x-request-id: size-{size}", body=b"x" * size)).status == status
    assert not was_fast(witnessed, f"size-{BODY_BYTES + 1}", start)
    assert len(upstream.requests) == seen + 2


# --- what a remembered head must not let through


def test_what_changes_between_two_equal_requests_counts_at_once(
    stopping: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    before, owned = witnessed_config(upstream.url), "demo: {account: acme"
    ready = f'upstream_key: "{scene.UPSTREAM_KEY}", status: ready'
    changes = (
        (401, before.replace(scene.KEY, "CANARYKEY-another")),
        (404, before.replace(owned, "demo: {account: other")),
        (503, before.replace(ready, ready.replace("ready", "paused"))),
        (404, before.replace("  demo:", "  renamed:")),
        (200, before),
    )
    sent = chat("demo", "x-request-id: equal")
    with stopping.connect() as client:
        start = stopping.mark_log()
        assert [client.ask(sent).status for _ in range(2)] == [200, 200]
        assert was_fast(stopping, "equal", start)
        for status, text in changes:
            assert text != before or status == 200
            start = stopping.mark_log()
            stopping.config.write_text(text)
            stopping.send_signal(signal.SIGHUP)
            stopping.log.wait_for("is in force", start=start)
            seen = len(upstream.requests)
            assert [client.ask(sent).status for _ in range(2)] == [status, status]
            assert len(upstream.requests) - seen == (2 if status == 200 else 0)
            assert was_fast(stopping, "equal", start) == (status == 200)


# --- limits of an upstream


def test_no_more_connections_than_the_limit_are_used_by_both_ways_together(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    most, held, start = [0], Held(), witnessed.mark_log()

    def count(visit: Visit) -> None:
        most[0] = max(most[0], upstream.busy)
        held(visit)

    def wait_until_taken(number: int) -> None:
        wait_until(lambda: sum(witnessed.connections("pair", state) for state in ("in_use", "waiting")) == number)

    warm(witnessed, upstream, "pair", 2)
    with upstream.playing(count):
        clients = [witnessed.connect() for _ in range(6)]
        for number, client in enumerate(clients):
            query = b"?x!" if number % 2 else b""
            name = f"x-request-id: limited-{number}"
            client.send(chat("pair", name, body=b"%d" % number).replace(b" HTTP", query + b" HTTP", 1))
            wait_until_taken(number + 1)
        assert upstream.wait_for(lambda upstream: upstream.busy == 2)
        assert witnessed.connections("pair", "waiting") == 4
        held.let_end.set()
        assert [client.read_response().body for client in clients] == [b"%d" % number for number in range(6)]
    assert most == [2]
    assert was_fast(witnessed, "limited-0", start)
    assert not was_fast(witnessed, "limited-2", start)
    assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert [witnessed.connections("pair", state) for state in ("in_use", "waiting")] == [0, 0]
