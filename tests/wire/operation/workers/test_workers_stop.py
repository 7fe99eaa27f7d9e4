"""Several workers on one port: how all of them stop."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import COMMAND, GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.wire.lifecycle.held_streams import HeldStreams
from tests.wire.operation.workers.several_workers import CHAT, TWO, begin_in_each_worker, workers_of

pytestmark = pytest.mark.slow


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


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
