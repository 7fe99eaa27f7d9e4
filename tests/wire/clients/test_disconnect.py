"""A client leaves: the upstream's connection is closed at once, so that llama-server frees the slot."""

import queue
import time
from collections.abc import Callable, Iterator

import pytest

from mockserver.sandbox import Sandbox
from tests.harness import scene
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import GatewayLeft, Visit
from tests.harness.sockets.wire_client import WireClient, request

STREAMING = ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"]
EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
LEAVING = {"FIN": WireClient.close, "RST": WireClient.reset}


class Watch:
    """Runs a script to its end, and notes when the gateway closed its connection."""

    def __init__(self, script: Callable[[Visit], object]) -> None:
        self._script = script
        self._left: queue.Queue[float] = queue.Queue()

    def __call__(self, visit: Visit) -> None:
        try:
            self._script(visit)
            if visit.wait_until_left():
                self._left.put(time.monotonic())
        except GatewayLeft:
            self._left.put(time.monotonic())
            raise

    def closed_after(self, moment: float) -> float:
        """Seconds from a moment to the close. Fails if there was none."""
        return self._left.get(timeout=PATIENCE) - moment


@pytest.fixture(params=LEAVING)
def leave(request: pytest.FixtureRequest) -> Callable[[WireClient], None]:
    return LEAVING[request.param]


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[WireClient]:
    with gateway.connect() as client:
        yield client


def ask(client: WireClient, path: str = "/v1/chat/completions", method: str = "POST") -> None:
    body = scene.BODY if method == "POST" else None
    assert client.send(request(scene.BASE + path, method=method, key=scene.KEY, body=body))


def seconds_until_freed(
    upstream: ScriptedUpstream,
    client: WireClient,
    script: Callable[[Visit], None],
    leave: Callable[[WireClient], None],
    path: str,
) -> float:
    """How long the upstream's connection lasts when the client leaves with the first bytes of its answer."""
    watch = Watch(script)
    with upstream.playing(watch):
        ask(client, path)
        client.read_head()
        client.read_some()
        leave(client)
        return watch.closed_after(time.monotonic())


@pytest.mark.parametrize(("path", "method"), scene.ENDPOINTS.items())
def test_before_the_first_byte(
    upstream: ScriptedUpstream, client: WireClient, path: str, method: str, leave: Callable[[WireClient], None]
) -> None:
    watch = Watch(Visit.read_body)
    with upstream.playing(watch):
        ask(client, path, method)
        assert upstream.wait_for(lambda upstream: any(seen.whole for seen in upstream.requests))
        leave(client)
        assert watch.closed_after(time.monotonic()) < AT_ONCE


@pytest.mark.parametrize("path", STREAMING)
def test_in_the_middle_of_a_stream_that_talks(
    upstream: ScriptedUpstream, client: WireClient, path: str, leave: Callable[[WireClient], None]
) -> None:
    def talk(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        while True:
            visit.chunk(EVENT)
            time.sleep(0.01)

    assert seconds_until_freed(upstream, client, talk, leave, path) < AT_ONCE


@pytest.mark.parametrize("path", STREAMING)
def test_in_the_middle_of_a_stream_that_is_silent(
    upstream: ScriptedUpstream, client: WireClient, path: str, leave: Callable[[WireClient], None]
) -> None:
    def fall_silent(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)

    assert seconds_until_freed(upstream, client, fall_silent, leave, path) < AT_ONCE


def test_after_the_head_and_before_the_body(
    upstream: ScriptedUpstream, client: WireClient, leave: Callable[[WireClient], None]
) -> None:
    def only_the_head(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()

    watch = Watch(only_the_head)
    with upstream.playing(watch):
        ask(client)
        client.read_head()
        leave(client)
        assert watch.closed_after(time.monotonic()) < AT_ONCE


def test_in_the_middle_of_an_answer_that_is_no_stream(
    upstream: ScriptedUpstream, client: WireClient, leave: Callable[[WireClient], None]
) -> None:
    def half(visit: Visit) -> None:
        visit.read_body()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + b" " * 500)

    assert seconds_until_freed(upstream, client, half, leave, "/v1/embeddings") < AT_ONCE


def test_while_it_reads_nothing_and_the_answer_backs_up(
    gateway: GatewayProcess, upstream: ScriptedUpstream, client: WireClient, leave: Callable[[WireClient], None]
) -> None:
    def flood(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        while True:
            visit.chunk(EVENT * 1000)

    watch = Watch(flood)
    with upstream.playing(watch):
        ask(client)
        client.read_head()
        gateway.wait_until_idle()
        leave(client)
        assert watch.closed_after(time.monotonic()) < AT_ONCE


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_during_a_long_upload(
    upstream: ScriptedUpstream, client: WireClient, framing: str, leave: Callable[[WireClient], None]
) -> None:
    part = b" " * 600_000
    watch = Watch(Visit.read_body)
    with upstream.playing(watch):
        client.send(request(scene.CHAT, framing, key=scene.KEY))
        client.send(part if framing.startswith("Content") else b"927c0\r\n" + part + b"\r\n")
        assert upstream.wait_for(lambda upstream: bool(upstream.requests))
        leave(client)
        assert watch.closed_after(time.monotonic()) < AT_ONCE
    assert not upstream.only_request.whole


def test_during_a_short_upload_the_upstream_never_hears_of_it(
    gateway: GatewayProcess, upstream: ScriptedUpstream, client: WireClient, leave: Callable[[WireClient], None]
) -> None:
    line = gateway.mark_log()
    client.send(request(scene.CHAT, "Content-Length: 1000", "x-request-id: short", key=scene.KEY) + b" " * 500)
    leave(client)
    gateway.log.wait_for(r'"id": ?"short".*"ending": ?"client_left"', start=line)
    assert upstream.requests == []


def test_the_next_request_gets_the_connection_of_nobody_who_left(
    gateway: GatewayProcess, upstream: ScriptedUpstream, client: WireClient
) -> None:
    watch = Watch(Visit.read_body)
    with upstream.playing(watch):
        ask(client)
        assert upstream.wait_for(lambda upstream: any(seen.whole for seen in upstream.requests))
        client.close()
        watch.closed_after(time.monotonic())
    assert gateway.ask(request(scene.CHAT, key=scene.KEY, body=scene.BODY)).json() == {"object": "fine"}
    assert len({seen.connection for seen in upstream.requests}) == 2


@pytest.mark.slow
def test_the_slot_of_a_client_that_left_serves_the_next_at_once(
    gguf_sandbox_factory: Callable[..., Sandbox],
) -> None:
    sandbox = gguf_sandbox_factory(slots=1, unified=False, tokens_per_second=20, context=100_000)
    demo = sandbox.deployment()
    port = int(sandbox.url.rpartition(":")[2])
    endless = b'{"stream": true, "ignore_eos": true, "messages": [{"role": "user", "content": "hi"}]}'
    path = "/api/gguf/demo/v1/chat/completions"
    with WireClient(port) as first:
        first.send(request(path, key=sandbox.key, body=endless))
        first.read_head()
        first.read_some()
    with WireClient(port) as second:
        second.send(request(path, key=sandbox.key, body=endless))
        asked = time.monotonic()
        second.read_head()
        second.read_some()
        assert time.monotonic() - asked < AT_ONCE
    assert [
        seen.how.partition(" after")[0] for seen in demo.wait_for_requests(2, ended="aborted", timeout=PATIENCE)
    ] == [
        "client left",
        "client left",
    ]
