"""A llama-server that hangs: it takes connections and answers nothing. Requests need not find that out one by one."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import DONE, EVENT, chat
from tests.harness.sockets.upstream_visit import Script, Visit

AFTER = 1.0  # seconds of silence
PROBES = f"probes: {{interval: 0.2, timeout: 0.3, unreachable_after: {AFTER}}}"
BODY = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":4}'


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A mock llama-server in a process of its own, and its URL."""
    command = [sys.executable, "-m", "mockserver", "--port", "0", "--tps", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "server is listening" in line)
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield process, line.split()[-1]
        process.send_signal(signal.SIGCONT)
        process.terminate()


ONE_AT_A_TIME = ", limits: {connections: 1, waiting: 9}, timeouts: {queue: 600}"


def config(url: str, status: str, further: str = "") -> str:
    deployment = f"deployments:\n  far: {{account: acme, upstream: '{url}', status: {status}{further}}}\n"
    return f"server: {{port: 0, {PROBES}}}\n{scene.ACCOUNTS}{deployment}"


def serve(start_gateway: StartGateway, url: str, status: str = "auto", further: str = "") -> GatewayProcess:
    gateway = start_gateway(config(url, status, further))
    wait_until(lambda: ask(gateway) == 200)
    return gateway


def ask(gateway: GatewayProcess) -> int:
    return gateway.ask(chat("far", body=BODY)).status


@pytest.mark.slow
@pytest.mark.parametrize("status", ["auto", "ready"])
def test_a_stopped_server_is_a_502_at_once_and_serves_when_it_goes_on(
    start_gateway: StartGateway, server: tuple[subprocess.Popen[str], str], status: str
) -> None:
    process, url = server
    gateway = serve(start_gateway, url, status)
    with ThreadPoolExecutor(1) as sent:
        process.send_signal(signal.SIGSTOP)
        waiting = sent.submit(ask, gateway)
        gateway.log.wait_for("upstream unreachable: no probe was answered for 1 s; requests are refused")
        assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("far", body=BODY)))
        gateway.log.wait_for("it has not answered a probe for too long")
        assert not waiting.done(), "what was sent before waits on: the server may go on"
        process.send_signal(signal.SIGCONT)
        assert waiting.result(PATIENCE) == 200
        wait_until(lambda: ask(gateway) == 200)


@pytest.fixture
def deaf() -> Iterator[ScriptedUpstream]:
    """An upstream that answers requests, and probes for as long as `health` says so."""
    upstream = ScriptedUpstream()
    yield upstream
    upstream.close()


def hold_probes(deaf: ScriptedUpstream) -> None:
    """From now on a probe is a request that is never answered."""
    deaf.health = b"HTTP/1.1 200 OK\r\n"  # begun, and no more


@pytest.mark.slow
def test_a_server_too_busy_for_probes_that_talks_on_is_not_hung(
    start_gateway: StartGateway, upstream: ScriptedUpstream, deaf: ScriptedUpstream
) -> None:
    over = threading.Event()

    def talk(visit: Visit) -> None:
        if visit.read_body() == b"short":
            visit.answer()
            return
        visit.begin_stream()
        while not over.is_set():
            visit.chunk(EVENT * 2)
            time.sleep(0.01)
        visit.chunk(DONE)
        visit.chunk(b"")

    gateway = serve(start_gateway, deaf.url)
    with deaf.playing(talk), gateway.connect() as client:
        client.send(chat("far"))
        client.read_head()
        hold_probes(deaf)
        gateway.log.wait_for("upstream no answer within 0.3 s")
        seen, begun = len(deaf.probes), time.monotonic()
        reading = threading.Thread(target=client.read_to_last_chunk)
        reading.start()
        assert deaf.wait_for(lambda deaf: len(deaf.probes) > seen + 4 and time.monotonic() - begun > AFTER * 2)
        assert gateway.ask(chat("far", body=b"short")).status == 200
        over.set()
        reading.join(PATIENCE)
    assert "unreachable" not in "".join(gateway.log.lines)
    deaf.health = b""
    gateway.stop()


@pytest.mark.slow
def test_a_server_that_refuses_is_asked_each_time(
    start_gateway: StartGateway, upstream: ScriptedUpstream, deaf: ScriptedUpstream
) -> None:
    """A refusal costs nothing to find out, and the first request after a restart is to be served."""
    gateway = serve(start_gateway, deaf.url)
    deaf.health = b""
    seen = len(deaf.probes)
    begun = time.monotonic()
    assert deaf.wait_for(lambda deaf: len(deaf.probes) > seen + 3 and time.monotonic() - begun > AFTER * 2)
    assert ask(gateway) == 200


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """When set, `held_until` answers; so it is at the end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.slow
def test_who_waits_in_line_for_a_server_that_hangs_is_refused_at_once(
    start_gateway: StartGateway, upstream: ScriptedUpstream, deaf: ScriptedUpstream, over: threading.Event
) -> None:
    """Those whose bodies are still arriving, too, as soon as they ask for a connection."""
    healthy = deaf.health
    gateway = serve(start_gateway, deaf.url, further=ONE_AT_A_TIME)
    with deaf.playing(held_until(over)), gateway.connect() as sent, gateway.connect() as late:
        sent.send(chat("far", body=b"sent"))
        assert deaf.wait_for(lambda deaf: deaf.has_read(b"sent"))
        waiting = [gateway.connect() for _ in range(3)]
        for client in waiting:
            client.send(chat("far"))
        gateway.wait_until_waiting(3, "far")
        late.send(chat("far", body=b"late")[:-1])
        hold_probes(deaf)
        for client in waiting:
            assert contract.UNREACHABLE.is_kept_by(client.read_response())
        late.send(b"e")
        assert contract.UNREACHABLE.is_kept_by(late.read_response())
        gateway.log.wait_for("it has not answered a probe for too long")
        over.set()
        assert sent.read_response().status == 200
        deaf.health = healthy
        wait_until(lambda: ask(gateway) == 200)
    assert gateway.connections("far", "waiting") == gateway.connections("far", "in_use") == 0


@pytest.mark.parametrize(("status", "refusal"), [("paused", contract.PAUSED), ("deploying", contract.DEPLOYING)])
def test_who_waits_in_line_for_a_deployment_taken_away_is_refused_at_once(
    start_gateway: StartGateway,
    upstream: ScriptedUpstream,
    over: threading.Event,
    status: str,
    refusal: contract.Promise,
) -> None:
    gateway = serve(start_gateway, upstream.url, "ready", ONE_AT_A_TIME)
    with upstream.playing(held_until(over)), gateway.connect() as sent, gateway.connect() as waiting:
        sent.send(chat("far", body=b"sent"))
        assert upstream.wait_for(lambda upstream: upstream.has_read(b"sent"))
        waiting.send(chat("far", body=b"waiting"))
        gateway.wait_until_waiting(1, "far")
        gateway.config.write_text(config(upstream.url, status, ONE_AT_A_TIME))
        gateway.send_signal(signal.SIGHUP)
        assert refusal.is_kept_by(waiting.read_response())
        over.set()
        assert sent.read_response().status == 200
        gateway.config.write_text(config(upstream.url, "ready", ONE_AT_A_TIME))
        gateway.send_signal(signal.SIGHUP)
        wait_until(lambda: ask(gateway) == 200)
    assert not upstream.has_read(b"waiting")


def held_until(over: threading.Event) -> Script:
    """Answers once it is told to."""

    def script(visit: Visit) -> None:
        visit.read_body()
        assert over.wait(PATIENCE)
        visit.answer()

    return script
