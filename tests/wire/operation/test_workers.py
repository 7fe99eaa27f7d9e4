"""Several workers on one port: who gets what, who is missed when it dies, and how all of them stop."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.deployment import Limits
from gateway.core.exchange import Exchange
from gateway.core.worker_group import WorkerGroup
from gateway.telemetry import worker_metrics
from gateway.telemetry.metrics import Metrics
from tests.harness import scene
from tests.harness.fleet import StartGateway
from tests.harness.gateway_process import COMMAND, GatewayProcess
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.scripted_upstream import ScriptedUpstream, Visit
from tests.harness.wire_client import WireClient, request

pytestmark = pytest.mark.slow


TWO = "workers: 2"
CHAT = request(scene.CHAT, key=scene.KEY, body=scene.BODY)
METRICS = request("/metrics", method="GET", host="localhost")
EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'


def workers_of(gateway: GatewayProcess) -> list[int]:
    """The processes that serve."""
    return [int(pid) for pid in Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def counted(gateway: GatewayProcess) -> int:
    """Requests to deployments, as `/metrics` counts them."""
    text = gateway.ask(METRICS).body.decode()
    return sum(int(float(number)) for number in re.findall(r"^gguf_requests_total\{.*\} (\S+)$", text, re.MULTILINE))


class HeldStreams:
    """A script whose streams begin, and end when they are let."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        while not self.let_end.is_set():
            if visit.wait_until_left(0.02):
                return
        visit.chunk(b"data: [DONE]\n\n")
        visit.chunk(b"")


def begin(gateway: GatewayProcess) -> WireClient:
    client = gateway.connect()
    client.send(CHAT)
    client.read_head()
    client.read_some()
    return client


def begin_in_each_worker(gateway: GatewayProcess, upstream: ScriptedUpstream) -> list[WireClient]:
    """Streams under way, at least one in each worker: with so many, luck alone cannot miss one."""
    before = upstream.busy
    clients = [begin(gateway) for _ in range(24)]
    assert upstream.busy == before + len(clients)
    return clients


@given(st.integers(1, 64), st.integers(1, 70000), st.integers(0, 70000))
def test_the_workers_parts_of_a_limit_add_up_to_it(size: int, connections: int, waiting: int) -> None:
    parts = [WorkerGroup(number, size).share(Limits(connections, waiting)) for number in range(size)]
    assert sum(part.connections for part in parts) == max(size, connections)
    assert sum(part.waiting for part in parts) == waiting
    assert min(part.connections for part in parts) >= 1


def test_counts_that_were_published_add_up_histograms_too() -> None:
    exchange, one = Exchange("id"), Metrics()
    exchange.deployment, exchange.endpoint = "demo", "/v1/models"
    exchange.status, exchange.bytes_out, exchange.first_byte_at = 200, 7, 1.0
    one.add(exchange)
    both = one.counts()
    worker_metrics.add_counts(both, worker_metrics.packed(one.counts(), {}))
    (duration,) = both.duration.values()
    assert dict(both.body_bytes) == {("demo", "in"): 0, ("demo", "out"): 14}
    assert list(duration.buckets())[-1] == ("+Inf", 2)
    assert list(both.requests.values()) == [2]


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


def test_all_workers_finish_what_they_have_begun(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    held = HeldStreams()
    with upstream.playing(held):
        clients = begin_in_each_worker(gateway, upstream)
        os.kill(gateway.pid, signal.SIGTERM)
        gateway.log.wait_for("stopping")
        held.let_end.set()
        for client in clients:
            assert client.read_to_end().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert gateway.wait() == 0


def test_a_second_signal_cuts_in_all_workers(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    with upstream.playing(HeldStreams()):
        clients = begin_in_each_worker(gateway, upstream)
        os.kill(gateway.pid, signal.SIGINT)
        gateway.log.wait_for("stopping")
        os.kill(gateway.pid, signal.SIGTERM)
        for client in clients:
            assert b"The gateway is shutting down." in client.read_to_end()
        assert gateway.wait() == 0


def wait_until_both_stop(gateway: GatewayProcess) -> None:
    wait_until(lambda: len(re.findall("stopping: ", gateway.log.since(0))) == 2)


def test_a_stop_that_reaches_the_workers_too_is_one_stop(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    """systemd signals every process of a unit, in any order. Here the workers are signalled once they are stopping."""
    gateway = start_gateway(scene.config(upstream.url, TWO))
    pids = workers_of(gateway)
    held = HeldStreams()
    with upstream.playing(held):
        clients = begin_in_each_worker(gateway, upstream)
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until_both_stop(gateway)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        held.let_end.set()
        for client in clients:
            assert client.read_to_last_chunk().endswith(b"data: [DONE]\n\n")
        assert gateway.wait() == 0


def test_ctrl_c_in_a_terminal_stops_and_a_second_one_cuts(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO), prefix=("setsid",))
    pids = {gateway.pid, *workers_of(gateway)}
    assert {os.getpgid(pid) for pid in pids} == {gateway.pid}  # a terminal signals a process group
    with upstream.playing(HeldStreams()):
        clients = begin_in_each_worker(gateway, upstream)
        os.killpg(gateway.pid, signal.SIGINT)
        wait_until_both_stop(gateway)
        assert upstream.busy == len(clients)
        os.killpg(gateway.pid, signal.SIGINT)
        for client in clients:
            assert b"The gateway is shutting down." in client.read_to_end()
        assert gateway.wait() == 0


def test_two_signals_at_the_same_time_cut(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    with upstream.playing(HeldStreams()):
        clients = begin_in_each_worker(gateway, upstream)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            os.kill(gateway.pid, number)  # going on, it finds both
        for client in clients:
            assert b"The gateway is shutting down." in client.read_to_end()
        assert gateway.wait() == 0


def test_a_worker_ignores_signals_to_itself(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    pids = workers_of(gateway)
    held = HeldStreams()
    with upstream.playing(held):
        clients = begin_in_each_worker(gateway, upstream)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) * 2:
            for pid in pids:
                os.kill(pid, number)
        clients.extend(begin_in_each_worker(gateway, upstream))
        held.let_end.set()
        for client in clients:
            assert client.read_to_last_chunk().endswith(b"data: [DONE]\n\n")
    assert workers_of(gateway) == pids
    assert "stopping" not in gateway.log.since(0)


@pytest.mark.parametrize("number", range(1, 7))
def test_a_stop_at_any_moment_of_the_start_is_a_clean_end(
    upstream: ScriptedUpstream, start_gateway: StartGateway, number: int
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO), serves=False)
    time.sleep(0.2 * number)  # any moment will do
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait() in {0, -signal.SIGTERM}
    assert "Traceback" not in gateway.log.since(0)
    assert "killed" not in gateway.log.since(0)


def test_a_hangup_makes_all_workers_look_at_the_configuration(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"{TWO}, log: {{level: debug}}"))
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: len(re.findall("SIGHUP", gateway.log.since(0))) == 2)
    assert gateway.ask(CHAT).status == 200


def test_workers_end_with_their_supervisor_even_if_it_is_killed(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, TWO))
    pids = workers_of(gateway)
    os.kill(gateway.pid, signal.SIGKILL)
    assert gateway.wait() == -signal.SIGKILL
    wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_the_end_of_standard_input_stops_all_workers(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config("http://127.0.0.1:9", TWO))
    path.chmod(0o600)
    command = (*COMMAND, "--config", str(path), "--stop-with-stdin")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdin is not None
        for line in process.stderr:
            if "serving on" in line:
                process.stdin.close()
        assert process.wait(PATIENCE) == 0


STDIN = {"a device": 'exec "$@" </dev/null', "a file": 'exec "$@" </etc/hostname', "closed": 'exec "$@" <&-'}


@pytest.mark.parametrize("workers", [TWO, ""], ids=["two-workers", "alone"])
@pytest.mark.parametrize("shell", STDIN.values(), ids=STDIN)
def test_a_standard_input_without_an_end_is_not_waited_for(
    upstream: ScriptedUpstream, start_gateway: StartGateway, shell: str, workers: str
) -> None:
    config = scene.config(upstream.url, workers)
    gateway = start_gateway(config, prefix=("sh", "-c", shell, "sh"))
    assert gateway.ask(CHAT).status == 200
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait() == 0


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
