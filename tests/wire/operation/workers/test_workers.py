"""Several workers on one port: who gets what, what they share, and who is missed when it dies."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from gateway.core.exchange import Exchange
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.worker_metrics import Packer, WorkerCounts
from tests.harness import scene
from tests.harness.patience import wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.wire_client import request
from tests.wire.lifecycle.held_streams import HeldStreams
from tests.wire.operation.workers.several_workers import CHAT, TWO, workers_of

pytestmark = pytest.mark.slow


METRICS = request("/metrics", method="GET", host="localhost")


def counted(gateway: GatewayProcess) -> int:
    """Requests to deployments, as `/metrics` counts them."""
    text = gateway.ask(METRICS).body.decode()
    return sum(int(float(number)) for number in re.findall(r"^gguf_requests_total\{.*\} (\S+)$", text, re.MULTILINE))


def test_counts_that_were_published_add_up_histograms_too() -> None:
    exchange, one = Exchange("id"), Metrics()
    exchange.deployment, exchange.endpoint = "demo", "/v1/models"
    exchange.status, exchange.bytes_out, exchange.first_byte_at = 200, 7, 1.0
    exchange.ended_at = exchange.started + 0.5
    one.add([exchange])
    packer = Packer()
    first = packer.packed(one, {("demo",): 2}, {("demo", "idle"): 3})
    one.add([exchange])
    other = WorkerCounts.unpacked(packer.packed(one, {("demo",): 2}, {("demo", "idle"): 3}))
    one.add_all(WorkerCounts.unpacked(first).metrics)
    one.add_all(other.metrics)
    [traffic] = one.traffic.values()
    assert (traffic.bytes_in, traffic.bytes_out) == (0, 35)
    assert sum(traffic.duration.counts) == sum(traffic.first_byte.counts) == 5
    assert dict(traffic.requests) == {(200, exchange.ending.value): 5}
    assert (other.under_way, other.connections) == ({("demo",): 2}, {("demo", "idle"): 3})


def test_one_port_is_served_by_all_workers_and_announced_once(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    pids = workers_of(gateway)
    assert len(pids) == 2
    for client in [gateway.connect() for _ in range(24)]:
        assert client.ask(CHAT).status == 200
    shares = [_connections_of(pid, gateway.port) for pid in pids]
    assert sum(shares) == 24
    assert min(shares) > 0
    assert len(re.findall("serving on", gateway.log.since(0))) == 1


def _connections_of(pid: int, port: int) -> int:
    established = {
        f"socket:[{fields[9]}]"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port
    }
    return sum(os.readlink(entry.path) in established for entry in os.scandir(f"/proc/{pid}/fd"))


def test_the_status_page_says_which_worker_answers(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    page = gateway.ask(request("/", method="GET", host="localhost")).body.decode()
    assert re.search(r"Seen by worker</dt><dd>[12] of 2<", page)


@pytest.mark.parametrize("second", [TWO, ""], ids=["two-workers", "alone"])
def test_a_port_that_workers_serve_is_taken_for_any_other_gateway(
    upstream: ScriptedUpstream, start_gateway: StartGateway, second: str
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    other = start_gateway(scene.config(upstream.url, second), ("--port", str(gateway.port)), serves=False)
    assert other.wait() == 1
    assert f"Error: Port {gateway.port} on 127.0.0.1 is taken." in other.log.since(0)
    assert "Traceback" not in other.log.since(0)


def test_a_taken_port_is_one_sentence_for_workers_too(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        gateway = start_gateway(scene.config(upstream.url, TWO), ("--port", port), serves=False)
        assert gateway.wait() == 1
    assert re.findall("is taken", gateway.log.since(0)) == ["is taken"]


def test_what_hinders_all_workers_is_said_once_and_ends_them(start_gateway: StartGateway) -> None:
    config = "server: {port: 0, workers: 3}\ndatabase: sqlite+aiosqlite:///nowhere.db\n"
    gateway = start_gateway(config, serves=False)
    assert gateway.wait() == 1
    assert len(re.findall(r"nowhere\.db: there is no such database", gateway.log.since(0))) == 1


def test_a_worker_that_dies_is_started_again_and_what_it_had_counted_stays(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    for _ in range(12):
        assert gateway.ask(CHAT).status == 200
    wait_until(lambda: all(counted(gateway) == 12 for _ in range(10)))  # each worker publishes within a second
    victim = workers_of(gateway)[0]
    os.kill(victim, signal.SIGKILL)
    gateway.log.wait_for(rf"process {victim}\) was ended by signal 9; starting it again")
    gateway.log.wait_for("serves again")
    assert gateway.ask(CHAT).status == 200
    wait_until(lambda: counted(gateway) == 13)
    assert len(workers_of(gateway)) == 2


def test_limits_of_an_upstream_hold_for_all_workers_together(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"{TWO}, limits: {{connections: 4, waiting: 0}}"))
    held = HeldStreams()
    with upstream.playing(held):
        clients = [gateway.connect() for _ in range(24)]
        for client in clients:
            client.send(CHAT)
        statuses = [int(client.read_head().split()[1]) for client in clients]
        assert upstream.busy == statuses.count(200) == 4
        assert statuses.count(503) == 20
        wait_until(lambda: b'gguf_open_exchanges{deployment="demo"} 4.0' in gateway.ask(METRICS).body)
        held.let_end.set()


def test_a_hangup_makes_all_workers_look_at_the_configuration(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"{TWO}, log: {{level: debug}}"))
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: len(re.findall("SIGHUP", gateway.log.since(0))) == 2)
    assert gateway.ask(CHAT).status == 200


def test_what_all_workers_have_read_is_said_once(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    text = scene.config(upstream.url, TWO)
    gateway = start_gateway(text)
    renamed = text.replace("  bare:", "  renamed:")
    asked = chat("renamed")
    gateway.config.write_text(renamed)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: {gateway.ask(asked).status for _ in range(20)} == {200})  # so many come to both
    gateway.log.wait_for("is in force")
    for _ in range(20):
        gateway.mark_log()
    assert len(re.findall("is in force", gateway.log.since(0))) == 1


def test_the_end_of_a_child_that_is_not_a_worker_is_ignored(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    """A shell that became the gateway may have left it one; as a container's process 1 it adopts orphans."""
    gateway = start_gateway(
        scene.config(upstream.url, TWO), prefix=("sh", "-c", 'sleep 60 >/dev/null 2>&1 & exec "$@"', "sh")
    )
    (stranger,) = [pid for pid in workers_of(gateway) if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]
    os.kill(stranger, signal.SIGKILL)
    wait_until(lambda: stranger not in workers_of(gateway))
    assert gateway.ask(CHAT).status == 200
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait() == 0
