"""How much of an upstream is used at a time: places in turn, a fast no when there are too many, and nobody else slowed.

`narrow` has one connection and lets two wait, `single` has one and lets nobody wait, `hasty` lets none wait for long.
"""

import statistics
import threading
import time

import pytest

from tests.harness import contract
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import BRISK, Stage, chat
from tests.harness.sockets.upstream_visit import Visit, fine
from tests.harness.sockets.wire_client import WireClient

FINE = {"object": "fine"}


class Hold:
    """A script that answers a request with its own body once `let_go` has named it. It expects these, each once."""

    def __init__(self, *words: bytes) -> None:
        self._expected = set(words)
        self._free = {word: threading.Event() for word in words}

    def __call__(self, visit: Visit) -> None:
        body = visit.read_body()
        assert body in self._expected, f"nobody expected {body!r}, or not once more"
        self._expected.remove(body)
        assert self._free[body].wait(PATIENCE), f"nobody let {body!r} go"
        visit.answer(body)

    def let_go(self, *words: bytes) -> None:
        """Answer the requests that say this."""
        for word in words:
            self._free[word].set()


def say(gateway: GatewayProcess, word: bytes, deployment: str = "narrow") -> WireClient:
    """A client that has asked."""
    client = gateway.connect()
    client.send(chat(deployment, body=word))
    return client


def in_line(gateway: GatewayProcess, upstream: ScriptedUpstream, *words: bytes) -> list[WireClient]:
    """Clients that ask one after the other: the first is being served, the others wait in this order."""
    clients = [say(gateway, words[0])]
    assert upstream.wait_for(lambda upstream: upstream.has_read(words[0]))
    for number, word in enumerate(words[1:], 1):
        clients.append(say(gateway, word))
        gateway.wait_until_waiting(number, "narrow")
    return clients


def test_who_waits_is_served_in_turn_and_one_too_many_is_refused_at_once(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    hold = Hold(b"one", b"two", b"three")
    with upstream.playing(hold):
        clients = in_line(relay_gateway, upstream, b"one", b"two", b"three")
        begun = time.monotonic()
        refusal = relay_gateway.ask(chat("narrow", body=b"four"))
        assert contract.BUSY.is_kept_by(refusal)
        assert refusal.header("Retry-After") == (refusal.header("x-queue-wait") or "1")
        assert time.monotonic() - begun < AT_ONCE
        assert len(upstream.requests) == 1
        for client, word in zip(clients, (b"one", b"two", b"three"), strict=True):
            hold.let_go(word)
            assert client.read_response().body == word
    assert [seen.body for seen in upstream.requests] == [b"one", b"two", b"three"]
    assert len({seen.connection for seen in upstream.requests}) == 1
    assert relay_gateway.ask(chat("narrow")).json() == FINE


@pytest.mark.parametrize("leave", [WireClient.close, WireClient.reset])
def test_a_waiter_that_leaves_gives_its_place_to_another(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, leave: object
) -> None:
    assert callable(leave)
    hold = Hold(b"one", b"three", b"four")
    with upstream.playing(hold):
        one, two, three = in_line(relay_gateway, upstream, b"one", b"two", b"three")
        leave(two)
        relay_gateway.wait_until_waiting(1, "narrow")
        four = say(relay_gateway, b"four")
        relay_gateway.wait_until_waiting(2, "narrow")
        hold.let_go(b"one", b"three", b"four")
        for client, word in ((one, b"one"), (three, b"three"), (four, b"four")):
            assert client.read_response().body == word
    assert [seen.body for seen in upstream.requests] == [b"one", b"three", b"four"]


def test_a_client_that_leaves_gives_its_place_to_the_next_in_line(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    def hang(visit: Visit) -> None:
        visit.read_body()
        visit.wait_until_left()

    with upstream.playing(hang):
        one, two = in_line(relay_gateway, upstream, b"one", b"two")
        upstream.script = fine
        one.close()
        assert two.read_response().json() == FINE


def test_whatever_happens_to_a_request_its_place_is_given_back(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    outcomes = {
        "closed": Visit.close,
        "reset": Visit.reset,
        "garbage": lambda visit: visit.send(b"garbage\r\n\r\n"),
        "redirect": lambda visit: visit.answer(b"", "302 Found"),
        "error": lambda visit: visit.answer(b"", "500 Oh"),
        "cut": lambda visit: (visit.begin_stream(), visit.chunk(b"data: 1\n\n"), visit.close()),
        "short": lambda visit: (visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"), visit.close()),
    }
    for script in outcomes.values():
        with upstream.playing(script):
            relay_gateway.ask(chat("single"))
            relay_gateway.ask(chat("single", "Expect: nothing"))
            relay_gateway.ask(chat("single", body=b""))
    for _ in range(3):
        assert relay_gateway.ask(chat("single")).json() == FINE


def test_who_has_waited_too_long_is_refused_and_the_log_says_why(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    hold, line = Hold(b"one", b"two"), relay_gateway.mark_log()
    with upstream.playing(hold):
        one = say(relay_gateway, b"one", "hasty")
        assert upstream.wait_for(lambda upstream: upstream.has_read(b"one"))
        begun = time.monotonic()
        late = [say(relay_gateway, b"late", "hasty") for _ in range(3)]
        for client in late:
            assert contract.BUSY.is_kept_by(client.read_response())
            assert time.monotonic() - begun > BRISK - 0.01
        relay_gateway.log.wait_for(f"no place was free within {BRISK:g} s", start=line)
        assert relay_gateway.connections("hasty", "waiting") == 0
        hold.let_go(b"one", b"two")
        assert one.read_response().body == b"one"
        assert late[0].ask(chat("hasty", body=b"two")).body == b"two"
    assert [seen.body for seen in upstream.requests] == [b"one", b"two"]


def test_nobody_may_wait_where_none_is_to(relay_gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    hold = Hold(b"one")
    with upstream.playing(hold):
        one = say(relay_gateway, b"one", "single")
        assert upstream.wait_for(lambda upstream: upstream.has_read(b"one"))
        for _ in range(20):
            assert contract.BUSY.is_kept_by(relay_gateway.ask(chat("single")))
        assert [seen.body for seen in upstream.requests] == [b"one"]
        hold.let_go(b"one")
        assert one.read_response().body == b"one"
    assert relay_gateway.ask(chat("single")).json() == FINE


def test_the_limits_of_one_deployment_are_not_those_of_another(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    hold = Hold(b"one", b"two", b"three")
    with upstream.playing(hold):
        clients = in_line(relay_gateway, upstream, b"one", b"two", b"three")
        upstream.script = fine
        for _ in range(10):
            assert relay_gateway.ask(chat("demo")).json() == FINE
        upstream.script = hold
        hold.let_go(b"one", b"two", b"three")
        assert [client.read_response().body for client in clients] == [b"one", b"two", b"three"]


def latency(gateway: GatewayProcess) -> float:
    """The time that a request to `demo` takes if nothing else happens on the machine, in seconds."""
    times = []
    with gateway.connect() as client:
        for _ in range(150):
            begun = time.perf_counter()
            assert client.ask(chat("demo")).json() == FINE
            times.append(time.perf_counter() - begun)
    return statistics.quantiles(times, n=4)[0]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["hangs", "blackhole", "nameless", "closed"])
def test_U25_a_deployment_in_trouble_slows_no_other(
    relay_gateway: GatewayProcess, upstream: ScriptedUpstream, stage: Stage, trouble: str
) -> None:
    def hang_or_answer(visit: Visit) -> None:
        if visit.read_body() == b"hang":
            visit.wait_until_left()
        else:
            visit.answer(b'{"object":"fine"}')

    deployment = "bare" if trouble == "hangs" else trouble
    with upstream.playing(hang_or_answer):
        before = latency(relay_gateway)
        stuck = [say(relay_gateway, b"hang", deployment) for _ in range(300 if trouble == "hangs" else 100)]
        if trouble == "hangs":
            assert upstream.wait_for(lambda upstream: upstream.busy >= 256)
        is_fast = any(latency(relay_gateway) < 1.5 * before + 0.005 for _ in range(5))  # the machine may be busy
        for client in stuck:
            client.close()
        assert upstream.wait_for(ScriptedUpstream.is_quiet)
    assert is_fast
