"""Table B: bodies that stop, trickle or end with their client, and what is said before they are sent."""

import threading
import time

import pytest

from tests.harness import contract, scene
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.bodies import GOOD, MESSAGE_BYTES, MIB, chat_with, is_refused_and_closed
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import until_left
from tests.harness.sockets.wire_client import WireClient, chunked, request

# --- when it comes


def upload(client: WireClient, begin: bytes, drip: bytes = b"", pause: float = 0.1) -> float:
    """Send `begin`, then `drip` for ever; the seconds until the gateway has had enough."""
    begun = time.monotonic()
    client.send(begin)
    client.socket.settimeout(pause)
    while time.monotonic() - begun < PATIENCE:
        try:
            client.socket.recv(1, 2)  # MSG_PEEK
            break
        except ConnectionResetError:
            break  # a drip that crossed the close
        except TimeoutError:
            client.send(drip)
    client.socket.settimeout(PATIENCE)
    return time.monotonic() - begun


UNFINISHED = {
    "length": chat_with(None, "Content-Length: 1000") + b"half",
    "chunked": chat_with(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
    "nothing": chat_with(None, "Content-Length: 1000"),
    "size line": chat_with(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n5",
    "no last chunk": chat_with(None, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("begin", UNFINISHED.values(), ids=UNFINISHED)
def test_B12_a_body_that_stops_is_408_and_never_reaches_the_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, begin: bytes
) -> None:
    with strict_gateway.connect() as client:
        took = upload(client, begin)
        response = client.read_response()
        assert contract.SLOW_UPLOAD.is_kept_by(response)
        assert response.header("Connection") == "close"
        assert 0.4 < took < AT_ONCE
    assert upstream.requests == []


def test_B12_a_long_body_that_stops_is_408_and_leaves_the_upstream(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    left = threading.Event()
    with upstream.playing(until_left(left)), strict_gateway.connect() as client:
        client.send(chat_with(None, f"Content-Length: {MIB}") + b"x" * (2 * MESSAGE_BYTES))
        assert contract.SLOW_UPLOAD.is_kept_by(client.read_response())
        assert left.wait(PATIENCE)
    assert not upstream.only_request.whole


@pytest.mark.parametrize("size", [1000, 100_000])
def test_B17_a_trickle_is_408_at_the_deadline(
    strict_gateway: GatewayProcess, upstream: ScriptedUpstream, size: int
) -> None:
    with strict_gateway.connect() as client:
        took = upload(client, chat_with(None, f"Content-Length: {size}"), b"x", pause=0.05)
        assert contract.SLOW_UPLOAD.is_kept_by(client.read_response())
        assert took < AT_ONCE
    assert upstream.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("begin", [b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_B17_a_head_that_never_ends_is_closed_at_the_deadline(strict_gateway: GatewayProcess, begin: bytes) -> None:
    with strict_gateway.connect() as client:
        assert upload(client, begin, b"x" if begin else b"") < 6
        assert client.read_to_end() == b""


@pytest.mark.parametrize(
    "head", [chat_with(None, "Content-Length: 1000"), chat_with(None, "Transfer-Encoding: chunked")]
)
@pytest.mark.parametrize("leave", ["half-close", "close", "reset"])
def test_B15_a_client_that_leaves_in_its_body_costs_no_call(
    gateway: GatewayProcess, upstream: ScriptedUpstream, head: bytes, leave: str
) -> None:
    line = gateway.mark_log()
    with gateway.connect() as client:
        client.send(head + b"5\r\nhe")
        gateway.wait_until_read(client)
        if leave == "half-close":
            client.half_close()
            assert client.read_to_end() == b""
        elif leave == "close":
            client.close()
        else:
            client.reset()
        gateway.log.wait_for("client_left", start=line)
    assert '"level": "warning"' not in gateway.log.since(line)
    assert '"level": "error"' not in gateway.log.since(line)
    assert upstream.requests == []


# --- what stands before it


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"X-{number}: a" for number in range(120)], 200),
        ([f"X-{number}: a" for number in range(129)], 400),
        (["X-Same: a"] * 200, 400),
        ([f"X-Long: CANARYKEY{'a' * 7000}"], 200),
        ([f"X-Long: CANARYKEY{'a' * 8191}"], 400),
        ([f"{'X' * 8191}: CANARYKEY"], 400),
        ([f"X-{number}: CANARYKEY{'a' * 6000}" for number in range(11)], 400),
        ([f"X-{number}: CANARYKEY{'a' * 6000}" for number in range(100)], 400),
    ],
    ids=["120", "129", "200 same", "7000 B", "8191 B", "name", "64 KiB", "600 KiB"],
)
def test_B16_headers_have_a_limit(
    gateway: GatewayProcess, upstream: ScriptedUpstream, headers: list[str], status: int
) -> None:
    if status == 200:
        assert gateway.ask(chat_with(scene.BODY, *headers)).status == 200
    else:
        assert is_refused_and_closed(gateway, upstream, chat_with(scene.BODY, *headers), 400)


def ask_expecting(client: WireClient, *headers: str, key: str | None = scene.KEY, target: str = scene.CHAT) -> int:
    """Send a head that expects 100-continue, and read what comes; the final status, and no 100 before it."""
    response = client.ask(request(target, "Expect: 100-continue", *headers, key=key))
    assert response.interim == 0
    assert response.header("Connection") == "close"
    return response.status


@pytest.mark.parametrize(
    "refused",
    [
        (scene.CHAT, "gw_CANARYKEYwrong", 10, 401),
        (scene.CHAT, None, 10, 401),
        (scene.CHAT, scene.KEY, 65 * MIB, 413),
        (f"{scene.FOREIGN}/v1/completions", scene.KEY, 10, 404),
        (f"{scene.PAUSED}/v1/completions", scene.KEY, 10, 503),
        (f"{scene.BASE}/slots", scene.KEY, 10, 404),
        (scene.MODELS, scene.KEY, 10, 405),
        ("/nothing", scene.KEY, 10, 404),
        ("/healthz", None, 10, 405),
    ],
)
def test_B18_nobody_is_invited_to_send_what_will_be_refused(
    gateway: GatewayProcess, upstream: ScriptedUpstream, refused: tuple[str, str | None, int, int]
) -> None:
    target, key, size, status = refused
    with gateway.connect() as client:
        assert ask_expecting(client, f"Content-Length: {size}", key=key, target=target) == status
    assert upstream.requests == []


@pytest.mark.slow
def test_B18_after_a_refusal_the_unsent_body_is_no_request(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with gateway.connect() as client:
        ask_expecting(client, f"Content-Length: {len(GOOD) + 10}", key=None)
        client.send(GOOD)
        assert client.is_closed()
    assert upstream.requests == []


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_B18_a_good_request_is_invited_and_served(
    gateway: GatewayProcess, upstream: ScriptedUpstream, expectation: str, framing: str
) -> None:
    plain = framing == "length"
    line = f"Content-Length: {len(scene.BODY)}" if plain else "Transfer-Encoding: chunked"
    with gateway.connect() as client:
        client.send(chat_with(None, f"Expect: {expectation}", line))
        assert client.read_head() == b"HTTP/1.1 100 Continue"
        assert upstream.requests == []
        client.send(scene.BODY if plain else chunked(scene.BODY))
        assert client.read_response().status == 200
        assert client.ask(GOOD).status == 200
    assert [received.body for received in upstream.requests] == [scene.BODY, scene.BODY]
    assert upstream.requests[0].values("Expect") == []


def test_B18_who_does_not_wait_is_served_as_well(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with gateway.connect() as client:
        response = client.ask(chat_with(scene.BODY, "Expect: 100-continue"))
        assert (response.status, response.interim <= 1) == (200, True)
        assert client.ask(GOOD).status == 200


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize(
    "expectations",
    [["foo"], ["100-continue, foo"], ["100-continue", "foo"], ["foo", "100-continue"], ["200-ok"], [""]],
    ids=str,
)
@pytest.mark.parametrize("target", [scene.CHAT, scene.MODELS, "/healthz", "/nothing"])
def test_B18_any_other_expectation_is_417(
    gateway: GatewayProcess, upstream: ScriptedUpstream, expectations: list[str], version: str, target: str
) -> None:
    headers = [f"Expect: {expectation}" for expectation in expectations]
    with gateway.connect() as client:
        response = client.ask(request(target, *headers, key=scene.KEY, body=scene.BODY, version=version))
        assert contract.EXPECTATION.is_kept_by(response)
        assert client.is_closed()
    assert upstream.requests == []


def test_B18_a_client_of_http_1_0_is_not_invited(gateway: GatewayProcess) -> None:
    response = gateway.ask(
        request(scene.CHAT, "Expect: 100-continue", key=scene.KEY, body=scene.BODY, version="HTTP/1.0")
    )
    assert (response.status, response.interim) == (200, 0)
