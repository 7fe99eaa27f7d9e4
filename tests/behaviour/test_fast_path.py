"""The two ways through the gateway: plain requests go past aiohttp's parser, all others through it, and none can tell.

The gateway of these cases tells in its log which requests took the fast path: a module that Python loads before it
(`sitecustomize`) wraps the one function that every such request passes, and changes nothing else.
"""

import json
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.behaviour import contract, scene
from tests.behaviour.fleet import Fleet, StartGateway
from tests.behaviour.gateway_process import GatewayProcess
from tests.behaviour.patience import wait_until, wait_until_blocked
from tests.behaviour.scripted_upstream import Script, ScriptedUpstream, Visit
from tests.behaviour.stage import DONE, EVENT, chat, says
from tests.behaviour.wire_client import Closed, WireClient, chunked, request

AT_ONCE = 1.0  # seconds
KEEPALIVE = 0.6  # seconds, in the gateway of these cases
BODY_BYTES = 100_000  # its limit
MESSAGES = f"{scene.BASE}/v1/messages"

_WITNESS = """
import sys
from gateway import fast_path

_carry = fast_path.FastPath.carry


def carry(self, request, client):
    carried = _carry(self, request, client)
    if carried is fast_path.Begun.YES:
        print("witness: fast", request.head.request_id, file=sys.stderr, flush=True)
    return carried


fast_path.FastPath.carry = carry
"""


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a gateway that tells who takes the fast path."""
    folder = tmp_path_factory.mktemp("witness")
    (folder / "sitecustomize.py").write_text(_WITNESS)
    return {"PYTHONPATH": str(folder)}


def witnessed_config(upstream: str) -> str:
    further = f"""
  pair: {{account: acme, upstream: "{upstream}", status: ready, limits: {{connections: 2}}}}
  brisk: {{account: acme, upstream: "{upstream}", status: ready, timeouts: {{first_byte: 0.2, silence: 0.2}}}}
"""
    limits = f"limits: {{body_bytes: {BODY_BYTES}}}, timeouts: {{keepalive: {KEEPALIVE}}}"
    return scene.config(upstream, f"log: {{format: json}}, {limits}") + further.lstrip("\n")


@pytest.fixture
def witnessed(
    fleet: Fleet, gateway_loop: str, shared_upstream: ScriptedUpstream, witness: dict[str, str]
) -> GatewayProcess:
    """A gateway that tells who takes the fast path."""
    return fleet.share(gateway_loop, witnessed_config(shared_upstream.url), witness)


def warm(gateway: GatewayProcess, upstream: ScriptedUpstream, deployment: str = "demo", number: int = 1) -> int:
    """Leave so many new connections to the upstream idle, without which nothing is carried at once.

    Returns how many requests it has had so far.
    """
    meeting = threading.Barrier(number, timeout=5)

    def meet(visit: Visit) -> None:
        visit.read_body()
        meeting.wait()
        visit.answer()

    with upstream.playing(lambda visit: visit.answer(b"old", "200 OK", b"Connection: close")):
        for _ in range(100):  # some have served so often that the next request may be their last
            if not gateway.connections(deployment, "idle"):
                break
            gateway.ask(chat(deployment))
        else:
            raise AssertionError("its old connections are still there")
    with upstream.playing(meet), ThreadPoolExecutor(number) as clients:
        assert all(answer.status == 200 for answer in clients.map(gateway.ask, [chat(deployment)] * number))
    assert upstream.wait_for(ScriptedUpstream.is_quiet)
    return len(upstream.requests)


def was_fast(gateway: GatewayProcess, name: str, start: int) -> bool:
    """Whether the request of this id took the fast path. Call once it is answered, or has its line."""
    gateway.log.wait_for(rf'"id": ?"{name}"', start=start)
    return f"witness: fast {name}\n" in gateway.log.since(start) + "\n"


def line_of(gateway: GatewayProcess, name: str, start: int) -> dict[str, Any]:
    """The line of a request in the log, without its id, times, and what comes of them."""
    pattern = rf'{{.*"id": ?"{name}".*}}'
    line: dict[str, Any] = json.loads(gateway.log.wait_for(pattern, start=start)[0])
    assert len(re.findall(pattern, gateway.log.since(start))) == 1, "a request has one line"
    return {name: value for name, value in line.items() if name not in _DIFFER}


_DIFFER = {"time", "ts", "timestamp", "id", "first_byte_ms", "total_ms", "tokens_per_second"}


def echo(visit: Visit) -> None:
    """A script: say what was said."""
    visit.answer(visit.read_body())


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


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/embeddings"])
def test_whatever_the_upstream_answers_both_ways_pass_on_the_same(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, path: str
) -> None:
    method, body = ("GET", None) if path == "/v1/models" else ("POST", scene.BODY)
    sent = chat(
        "demo", "x-request-id: NAME", "Accept: */*", "X-Stainless-OS: Linux", path=path, method=method, body=body
    )
    queried = sent.replace(b" HTTP/1.1\r\n", b"?x=y HTTP/1.1\r\n", 1)
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
    contract.wrong_method("GET"): chat(path="/v1/models"),
    contract.too_large(BODY_BYTES): chat(body=b"x" * (BODY_BYTES + 1)),
    contract.TIMED_OUT: chat("brisk", body=b"wait for it"),
}


@pytest.mark.parametrize("query", [b"", b"?x=y"])
def test_what_the_gateway_refuses_it_refuses_both_ways_though_the_head_is_remembered(
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


def test_a_body_as_large_as_the_limit_takes_the_fast_path_and_no_larger_one(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo):
        for size, status in ((BODY_BYTES, 200), (BODY_BYTES + 1, 413), (BODY_BYTES, 200)):
            assert witnessed.ask(chat("demo", f"x-request-id: size-{size}", body=b"x" * size)).status == status
    assert not was_fast(witnessed, f"size-{BODY_BYTES + 1}", start)
    assert len(upstream.requests) == seen + 2


# --- requests in pieces, and several of them


def test_head_and_body_sent_apart_are_one_request(witnessed: GatewayProcess, upstream: ScriptedUpstream) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(20):
            body = b"%d" % number * 100
            head, _, _ = chat(body=body).partition(body)
            client.send(head)
            time.sleep(number / 1000)  # shorter than its patience, at first
            client.send(body[:50])
            time.sleep(number / 1000)
            client.send(body[50:])
            assert client.read_response().body == body
    assert [received.body for received in upstream.requests[seen:]] == [b"%d" % number * 100 for number in range(20)]


def test_after_a_body_that_took_its_time_the_next_request_takes_the_fast_path_again(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(echo), witnessed.connect() as client:
        for number in range(3):
            sent = chat("demo", f"x-request-id: slow-{number}", body=b"slow body")
            client.send(sent[:-4])
            time.sleep(0.06)  # three times its patience
            client.send(sent[-4:])
            assert client.read_response().body == b"slow body"
            assert client.ask(chat("demo", f"x-request-id: next-{number}", body=b"next")).body == b"next"
    for number in range(3):
        assert not was_fast(witnessed, f"slow-{number}", start)
        assert was_fast(witnessed, f"next-{number}", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"slow body", b"next"] * 3


def test_a_request_begun_together_with_the_late_end_of_another_is_answered_after_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        sent = chat(body=b"late") + chat(body=b"next") + chat(body=b"last")
        client.send(sent[: sent.index(b"late") + 2])
        time.sleep(0.06)
        client.send(sent[sent.index(b"late") + 2 : -2])
        assert [client.read_response().body for _ in range(2)] == [b"late", b"next"]
        time.sleep(0.06)
        client.send(sent[-2:])
        assert client.read_response().body == b"last"
    assert [received.body for received in upstream.requests[seen:]] == [b"late", b"next", b"last"]


def test_two_requests_in_one_segment_are_both_answered_in_their_order(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    with upstream.playing(echo), witnessed.connect() as client:
        client.send(chat(body=b"first") + chat(body=b"second"))
        assert [client.read_response().body for _ in range(2)] == [b"first", b"second"]
        assert client.ask(chat(body=b"third")).body == b"third"
    assert [received.body for received in upstream.requests[seen:]] == [b"first", b"second", b"third"]


def test_what_is_no_http_is_refused_after_the_answer_that_is_under_way(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen, start, held = warm(witnessed, upstream), witnessed.mark_log(), Held()
    with upstream.playing(held), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: before-it", body=b"good"))
        client.read_head()
        client.send(b"no http at all\r\n\r\n" + chat(body=b"smuggled"))
        witnessed.wait_until_read(client)
        held.let_end.set()
        assert client.read_to_last_chunk() == b"good"
        assert contract.is_a_refusal(client.read_response(), 400)
        assert client.is_closed()
    assert was_fast(witnessed, "before-it", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"good"]


class Held:
    """A script that echoes in a stream which ends when it is let."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        body = visit.read_body()
        visit.begin_stream()
        visit.chunk(body)
        deadline = time.monotonic() + 20
        while not self.let_end.is_set():
            assert time.monotonic() < deadline, "nobody let it end"
            if visit.wait_until_left(0.02):
                return
        visit.chunk(b"")


@pytest.mark.parametrize("ahead", [1, 2])
def test_requests_sent_while_one_is_answered_wait_for_its_end(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, ahead: int
) -> None:
    seen = warm(witnessed, upstream)
    start, held = witnessed.mark_log(), Held()
    with upstream.playing(held), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: under-way", body=b"0"))
        client.read_head()
        assert client.read_chunk() == b"0"
        for number in range(1, ahead + 1):
            client.send(chat("demo", f"x-request-id: ahead-{number}", body=b"%d" % number))
        witnessed.wait_until_read(client)
        assert len(upstream.requests) == seen + 1
        held.let_end.set()
        assert client.read_chunk() == b""
        assert [client.read_response().body for _ in range(ahead)] == [b"%d" % number for number in range(1, ahead + 1)]
    assert was_fast(witnessed, "under-way", start)
    if ahead == 1:
        assert was_fast(witnessed, "ahead-1", start)
    assert [received.body for received in upstream.requests[seen:]] == [b"%d" % number for number in range(ahead + 1)]


def test_what_is_sent_far_ahead_waits_in_the_socket_and_nothing_of_it_is_lost(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    number, held, sent = 150, Held(), [0]
    bodies = [b"%d " % at * 20_000 for at in range(number)]  # 10 MB, of which the kernel keeps some 6 at most
    seen = warm(witnessed, upstream)

    def send_all(client: WireClient) -> None:
        for body in bodies:
            client.send(chat(body=body))
            sent[0] += 1

    with upstream.playing(held), witnessed.connect(10) as client, ThreadPoolExecutor(1) as sending:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.send(chat(body=b"0"))
        client.read_head()
        before = witnessed.memory()
        done = sending.submit(send_all, client)
        wait_until_blocked(sent)
        assert sent[0] < number
        assert witnessed.memory() - before < 2 << 20
        upstream.script = echo
        held.let_end.set()
        assert client.read_to_last_chunk() == b"0"
        for body in bodies:
            assert client.read_response().body == body
        done.result()
    assert [received.body for received in upstream.requests[seen + 1 :]] == bodies


@pytest.mark.parametrize("seed", range(4))
def test_however_they_are_cut_and_mixed_requests_are_answered_once_and_in_their_order(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, seed: int
) -> None:
    def converse(number: int) -> None:
        chance = random.Random(1000 * seed + number)
        bodies = [f"{number}-{turn} ".encode() * chance.choice([1, 9, 9000]) for turn in range(6)]
        data = b"".join(asked(chance, body) for body in bodies)
        cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(10)))
        with witnessed.connect(10) as client, ThreadPoolExecutor(1) as sending:
            done = sending.submit(send_in_pieces, client, data, cuts, chance)
            assert [client.read_response().body for _ in bodies] == bodies
            done.result()

    seen = warm(witnessed, upstream)
    with upstream.playing(echo), ThreadPoolExecutor(8) as clients:
        list(clients.map(converse, range(24)))
    bodies = [received.body for received in upstream.requests[seen:]]
    assert len(bodies) == len(set(bodies)) == 24 * 6


def asked(chance: random.Random, body: bytes) -> bytes:
    """A request that says this: mostly a plain one."""
    match chance.randrange(6):
        case 0:
            return chat("demo", "Transfer-Encoding: chunked", body=None) + chunked(body)
        case 1:
            return chat(body=body).replace(b" HTTP", b"? HTTP", 1)
        case _:
            return chat(chance.choice(["demo", "bare", "pair"]), body=body)


def send_in_pieces(client: WireClient, data: bytes, cuts: list[int], chance: random.Random) -> None:
    for begin, end_ in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.send(data[begin:end_])
        time.sleep(chance.choice([0, 0, 0.005, 0.03]))


@pytest.mark.parametrize("query", [b"", b"?x=y"])
def test_what_follows_a_stream_that_broke_is_not_asked_of_the_upstream(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    """The connection ends with that stream: nobody could be given the answer."""
    held, start = Held(), witnessed.mark_log()

    def cut(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        assert held.let_end.wait(5)
        visit.close()

    seen = warm(witnessed, upstream, "pair", 2)
    with upstream.playing(cut), witnessed.connect() as client:
        client.send(chat("pair", "x-request-id: broken").replace(b" HTTP", query + b" HTTP", 1))
        client.read_head()
        client.read_chunk()
        client.send(chat("pair", body=b"after it"))
        witnessed.wait_until_read(client)
        upstream.script = echo
        held.let_end.set()
        client.read_to_end()
    assert was_fast(witnessed, "broken", start) == (not query)
    witnessed.mark_log()
    assert [received.body for received in upstream.requests[seen:]] == [scene.BODY]


# --- clients that leave


def test_a_client_that_leaves_before_its_body_is_whole_has_one_line_and_asks_nothing(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream)
    start = witnessed.mark_log()
    for number, pause in enumerate((0, 0.005, 0.06)):
        client = witnessed.connect()
        client.send(chat("demo", f"x-request-id: unfinished-{number}")[:-5])
        time.sleep(pause)
        if number == 1:  # what was not read when a reset comes is lost
            witnessed.wait_until_read(client)
            client.reset()
        else:
            client.close()
    for number in range(3):
        line = line_of(witnessed, f"unfinished-{number}", start)
        assert (line["ending"], line["status"]) == ("client_left", None)
        assert (line["account"], line["key"], line["endpoint"]) == ("acme", "acme/main", "/v1/chat/completions")
    assert len(upstream.requests) == seen


@pytest.mark.parametrize("leave", [WireClient.close, WireClient.reset, WireClient.half_close])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_takes_the_upstream_connection_with_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, leave: Callable[[WireClient], None], streaming: bool
) -> None:
    freed = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        if streaming:
            visit.begin_stream()
            visit.chunk(EVENT)
        freed.append(visit.wait_until_left(AT_ONCE))

    warm(witnessed, upstream)
    start = witnessed.mark_log()
    with upstream.playing(wait), witnessed.connect() as client:
        client.send(chat("demo", "x-request-id: leaving"))
        if streaming:
            client.read_head()
            client.read_chunk()
        else:
            assert upstream.wait_for(lambda upstream: upstream.busy == 1 and upstream.requests[-1].whole)
        leave(client)
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert freed == [True]
    line = line_of(witnessed, "leaving", start)
    assert (line["ending"], line["status"]) == ("client_left", 200 if streaming else None)
    assert was_fast(witnessed, "leaving", start)


def test_a_client_that_leaves_takes_what_it_sent_ahead_with_it(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = warm(witnessed, upstream, "pair", 2)
    with upstream.playing(Held()), witnessed.connect() as client:
        client.send(chat("pair", body=b"first"))
        client.read_head()
        client.send(chat("pair", body=b"second"))
        witnessed.wait_until_read(client)
        client.reset()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    witnessed.mark_log()
    assert [received.body for received in upstream.requests[seen:]] == [b"first"]


@pytest.mark.parametrize("query", [b"", b"?x=y"])
def test_a_client_that_leaves_is_missed_though_it_has_sent_a_long_request_ahead(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    freed = []

    def wait(visit: Visit) -> None:
        visit.read_body()
        freed.append(visit.wait_until_left(AT_ONCE))
        visit.close()

    seen = warm(witnessed, upstream)
    with upstream.playing(wait), witnessed.connect() as client:
        client.send(chat().replace(b" HTTP", query + b" HTTP", 1))
        assert upstream.wait_for(lambda upstream: len(upstream.requests) > seen and upstream.requests[-1].whole)
        client.send(chat(body=b"x" * 90_000))
        witnessed.wait_until_read(client)
        client.reset()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert freed == [True]


# --- clients that do not read


@pytest.mark.parametrize("query", [b"", b"?x=y"])
def test_a_client_that_asks_on_and_reads_no_answer_is_held_up_before_it_costs_much(
    witnessed: GatewayProcess, upstream: ScriptedUpstream, query: bytes
) -> None:
    body, most = b"x" * 20_000, 500  # the kernel keeps some 4 MiB of them
    sent = chat("pair").replace(b" HTTP", query + b" HTTP", 1)
    had = warm(witnessed, upstream, "pair")

    def answer(visit: Visit) -> None:
        visit.read_body()
        visit.answer(body)

    def has_come(upstream: ScriptedUpstream, number: int) -> bool:
        return upstream.wait_for(lambda upstream: len(upstream.requests) >= had + number, 0.3)

    with upstream.playing(answer), witnessed.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        asked = 0
        while asked < most and has_come(upstream, asked):
            client.send(sent)
            asked += 1
        for _ in range(asked):
            assert client.read_response().body == body
    assert asked < most


# --- time


def test_an_answer_may_last_longer_than_an_idle_connection_and_that_is_closed_in_time(
    witnessed: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    answered = {}

    def last(visit: Visit) -> None:
        name = visit.read_body()
        if name == b"lasting":
            visit.begin_stream()
            visit.chunk(EVENT)
        time.sleep(KEEPALIVE * 1.4)
        answered[name] = time.monotonic()
        if name == b"lasting":
            visit.chunk(b"")
        else:
            visit.answer()

    def idle_seconds(name: str) -> float:
        with witnessed.connect() as client:
            assert client.ask(chat("pair", f"x-request-id: {name}", body=name.encode())).whole
            assert client.is_closed(KEEPALIVE * 3)
            return time.monotonic() - answered[name.encode()]

    warm(witnessed, upstream, "pair", 2)
    start = witnessed.mark_log()
    with upstream.playing(last), ThreadPoolExecutor(2) as clients:
        assert all(idle > KEEPALIVE for idle in clients.map(idle_seconds, ("lasting", "hesitant")))
    assert was_fast(witnessed, "hesitant", start)
    assert was_fast(witnessed, "lasting", start)


# --- the end of the gateway


@pytest.fixture
def stopping(start_gateway: StartGateway, upstream: ScriptedUpstream, witness: dict[str, str]) -> GatewayProcess:
    """A gateway of its own that tells who takes the fast path, and has an idle connection to its upstream."""
    gateway = start_gateway(witnessed_config(upstream.url), (), witness)
    warm(gateway, upstream)
    return gateway


def test_told_to_stop_it_finishes_what_is_under_way_and_what_has_half_arrived(
    stopping: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    first, second, sent = Held(), Held(), chat(body=b"half arrived")

    def held(visit: Visit) -> None:
        (second if stopping.log.wait_for_any("stopping: ", 0) else first)(visit)

    with upstream.playing(held), stopping.connect() as client, stopping.connect() as half, stopping.connect() as idle:
        assert idle.ask(request("/api/gguf/never/api/hello", method="GET")).status == 204
        client.send(chat("demo", "x-request-id: under-way"))
        client.read_head()
        client.read_chunk()
        half.send(sent[:-5])
        stopping.wait_until_read(half)
        stopping.send_signal(signal.SIGTERM)
        stopping.log.wait_for("stopping: 2 under way")
        half.send(sent[-5:])
        assert upstream.wait_for(lambda upstream: upstream.busy == 2)
        client.send(chat(body=b"too late"))
        first.let_end.set()
        assert client.read_chunk() == b""
        assert contract.DRAINING.is_kept_by(client.read_response())
        assert client.is_closed()
        second.let_end.set()
        assert half.read_response().body == b"half arrived"
        assert stopping.wait() == 0
    assert was_fast(stopping, "under-way", 0)
    stopping.log.wait_for("stopped: 2 finished, 0 cut")


def test_when_the_drain_is_over_what_waits_is_refused_and_what_streams_is_cut_visibly(
    stopping: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    warm(stopping, upstream, "pair", 2)

    def wait(visit: Visit) -> None:
        if visit.read_body() == b"stream":
            visit.begin_stream()
            visit.chunk(EVENT)
        visit.wait_until_left(5)

    with upstream.playing(wait), stopping.connect() as streaming, stopping.connect() as waiting:
        waiting.send(chat("pair", "x-request-id: waiting", body=b"wait"))
        streaming.send(chat("pair", "x-request-id: streaming", body=b"stream"))
        streaming.read_head()
        streaming.read_chunk()
        assert upstream.wait_for(lambda upstream: upstream.busy == 2)
        stopping.send_signal(signal.SIGTERM)
        stopping.log.wait_for("stopping: 2 under way")
        stopping.send_signal(signal.SIGTERM)
        refused = waiting.read_response()
        assert contract.DRAINING.is_kept_by(refused)
        assert refused.header("Connection") == "close"
        rest = streaming.read_to_end()
        assert b"The gateway is shutting down." in rest
        assert not rest.endswith(b"0\r\n\r\n")
        assert waiting.is_closed()
        assert stopping.wait() == 0
    for name, ending in (("waiting", "refused"), ("streaming", "shutdown")):
        assert was_fast(stopping, name, 0)
        assert line_of(stopping, name, 0)["ending"] == ending


# --- what a remembered head must not let through


def test_what_changes_between_two_equal_requests_on_one_connection_counts_at_once(
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
            query = b"?x" if number % 2 else b""
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
