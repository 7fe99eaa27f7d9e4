"""Table U: when a deployment counts as ready, and what becomes of it when its upstream comes and goes."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.witness import was_fast
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat, says
from tests.harness.sockets.upstream_visit import Visit

INTERVAL = 0.1  # seconds
LEAST_PAUSE = 0.1  # between two probes, whoever asks for more; and never less than half an interval
FINE = {"object": "fine"}
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
AWAY = b""


def server(interval: float, timeout: float = PATIENCE) -> str:
    """The `server:` section."""
    return f"server: {{port: 0, probes: {{interval: {interval}, timeout: {timeout}}}}}\n"


def answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


LOADING_BODY = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
LOADING = answer("503 Service Unavailable", LOADING_BODY)


@pytest.fixture(scope="module")
def all_far() -> Iterator[list[ScriptedUpstream]]:
    """The upstreams of these cases. They outlast their gateways, which would knock at closed ones while looked at."""
    all_far: list[ScriptedUpstream] = []
    yield all_far
    for far in all_far:
        far.close()


@pytest.fixture
def far(all_far: list[ScriptedUpstream]) -> ScriptedUpstream:
    """The upstream of one deployment, `auto`, that is the case's alone."""
    all_far.append(ScriptedUpstream())
    return all_far[-1]


def start(start_gateway: StartGateway, far: ScriptedUpstream, interval: float = INTERVAL) -> GatewayProcess:
    deployment = f"deployments:\n  auto: {{account: acme, upstream: '{far.url}'}}\n"
    return start_gateway(server(interval) + scene.ACCOUNTS + deployment)


def wait_until_ready(gateway: GatewayProcess, deployment: str = "auto") -> None:
    """Wait until a request to a deployment is answered."""
    wait_until(lambda: gateway.ask(chat(deployment)).status == 200)


def test_a_model_that_loads_is_deploying_and_from_then_on_ready(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    far.health = LOADING
    gateway = start(start_gateway, far)
    assert contract.DEPLOYING.is_kept_by(gateway.ask(chat("auto")))
    far.health = OK
    wait_until_ready(gateway)
    far.health = LOADING
    seen = len(far.probes)  # the last of them may have been answered before
    assert far.wait_for(lambda far: len(far.probes) > seen + 1)
    assert gateway.ask(chat("auto")).json() == FINE  # its own word counts, not a probe's
    with far.playing(lambda visit: visit.answer(LOADING_BODY, "503 Service Unavailable")):
        assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("auto")))
    assert gateway.ask(chat("auto")).json() == FINE


NOT_HEALTHY = {
    "loading, as of old": answer("503 Service Unavailable", b'{"status":"loading model"}'),
    "an error": answer("500 Internal Server Error", b'{"status":"ok"}'),
    "a web page": answer("200 OK", b"<html>It works!</html>"),
    "nothing": answer("200 OK", b""),
    "another status": answer("200 OK", b'{"status":"no slot available"}'),
    "a list": answer("200 OK", b'["ok"]'),
    "lists without end": answer("200 OK", b"[" * 60_000),
    "a redirect": answer("302 Found", b'{"status":"ok"}'),
    "a refusal": answer("401 Unauthorized", b'{"status":"ok"}'),
    "no HTTP": b"ok\r\n\r\n",
    "half an answer": OK[:-5],
    "without end": b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + bytes(200_000),
    "away": AWAY,
}


@pytest.mark.slow
def test_only_a_llama_server_that_says_so_is_ready(
    start_gateway: StartGateway, upstream: ScriptedUpstream, all_far: list[ScriptedUpstream]
) -> None:
    """One upstream for each way not to be healthy, and a deployment before each."""
    upstreams = [ScriptedUpstream() for _ in NOT_HEALTHY]
    all_far += upstreams
    for far, health in zip(upstreams, NOT_HEALTHY.values(), strict=True):
        far.health = health
    rows = [f"  auto-{at}: {{account: acme, upstream: '{far.url}'}}\n" for at, far in enumerate(upstreams)]
    gateway = start_gateway(server(INTERVAL, 0.3) + scene.ACCOUNTS + "deployments:\n" + "".join(rows))
    for at, far in enumerate(upstreams):
        assert far.wait_for(lambda far: len(far.probes) > 2)
        assert contract.DEPLOYING.is_kept_by(gateway.ask(chat(f"auto-{at}"))), list(NOT_HEALTHY)[at]
    for far in upstreams:
        far.health = OK
    for at in range(len(upstreams)):
        wait_until_ready(gateway, f"auto-{at}")


def test_U1_an_upstream_that_goes_is_a_502_and_the_log_says_so(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway = start(start_gateway, far)
    wait_until_ready(gateway)
    line = gateway.mark_log()
    far.close()
    far.script = Visit.close
    assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("auto")))
    gateway.log.wait_for("deployment auto: upstream no connection", start=line)


@pytest.mark.slow
def test_an_upstream_that_went_away_is_probed_long_before_the_interval(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway = start(start_gateway, far, interval=10 * PATIENCE)
    gateway.log.wait_for("deployment auto: upstream ok")
    for _ in range(2):
        far.health = AWAY
        line = len(gateway.log.lines)
        with far.playing(Visit.close):
            assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("auto")))
        gateway.log.wait_for("deployment auto: upstream it closed the connection", start=line)
        far.forget()
        assert far.wait_for(lambda far: len(far.probes) > 2)
        far.health = OK
        gateway.log.wait_for("deployment auto: upstream ok", start=line)


def test_a_failure_on_the_fast_path_has_the_upstream_probed_at_once(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream, witness: dict[str, str]
) -> None:
    deployment = f"deployments:\n  auto: {{account: acme, upstream: '{far.url}'}}\n"
    gateway = start_gateway(server(10 * PATIENCE) + scene.ACCOUNTS + deployment, (), witness)
    gateway.log.wait_for("deployment auto: upstream ok")
    wait_until(lambda: gateway.ask(chat("auto")).json() == FINE and gateway.connections("auto", "idle"))
    far.health = AWAY
    line = gateway.mark_log()
    with far.playing(says(then=Visit.close)):
        assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("auto", "x-request-id: failed")))
    assert was_fast(gateway, "failed", line)
    gateway.log.wait_for("deployment auto: upstream it closed the connection", start=line)


@pytest.mark.slow
def test_U26_an_upstream_that_comes_and_goes_is_probed_no_more_often(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway = start(start_gateway, far, 2 * LEAST_PAUSE)
    wait_until_ready(gateway)
    line, probes, begun = gateway.mark_log(), len(far.probes), time.monotonic()
    statuses = set()

    def flap(visit: Visit) -> None:
        visit.read_body()
        if far.health == AWAY:
            visit.close()
        else:
            visit.answer()

    with far.playing(flap):
        for number in range(4):
            far.health = AWAY if number % 2 == 0 else OK
            seen = len(far.probes) + 2
            while len(far.probes) < seen:
                statuses.add(gateway.ask(chat("auto")).status)
    took = time.monotonic() - begun
    assert statuses == {200, 502}
    assert len(far.probes) - probes <= took / LEAST_PAUSE + 3
    said = re.findall("deployment auto: upstream (.*)", "\n".join(gateway.log.lines[line : gateway.mark_log()]))
    assert all(before != after for before, after in pairwise(said)), said
    assert [is_ok for is_ok, _ in groupby(text.startswith("ok") for text in said)] == [False, True] * 2


def test_U26_many_failing_requests_at_a_time_make_no_herd_of_probes(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway = start(start_gateway, far, 2 * LEAST_PAUSE)
    wait_until_ready(gateway)
    probes, begun = len(far.probes), time.monotonic()
    with far.playing(Visit.close), ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda _: gateway.ask(chat("auto")).status, range(200)))
    took = time.monotonic() - begun
    assert set(statuses) == {502}
    assert len(far.probes) - probes <= took / LEAST_PAUSE + 3
    assert gateway.ask(chat("auto")).json() == FINE
