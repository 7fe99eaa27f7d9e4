"""A gateway that is told to stop: nothing new, what has begun may finish, and what may not is cut visibly."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import COMMAND, GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request
from tests.wire.lifecycle.held_streams import HeldStreams, begin

pytestmark = pytest.mark.slow

READYZ = request("/readyz", method="GET")
CHAT = request(scene.CHAT, key=scene.KEY, body=scene.BODY)


def is_refused(gateway: GatewayProcess) -> bool:
    try:
        gateway.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_finishes_while_nothing_new_begins(
    upstream: ScriptedUpstream, start_gateway: StartGateway, number: signal.Signals
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    stream = HeldStreams()
    with upstream.playing(stream), gateway.connect() as before:
        assert before.ask(READYZ).status == 200
        (client,) = begin(gateway, 1)
        os.kill(gateway.pid, number)
        gateway.log.wait_for("stopping: 1 request in progress, 30 s")
        assert is_refused(gateway)
        draining = before.ask(READYZ)
        assert (draining.status, draining.json()) == (503, {"status": "draining"})
        refused = before.ask(CHAT)
        assert (refused.status, refused.json()["error"]["message"]) == (503, "The gateway is shutting down.")
        stream.let_end.set()
        assert client.read_to_end().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert gateway.wait() == 0
    gateway.log.wait_for("stopped: 1 finished, 0 cut")


def test_what_lasts_longer_than_the_drain_is_cut_visibly(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 0.2}"))
    with upstream.playing(HeldStreams()):
        (client,) = begin(gateway, 1)
        os.kill(gateway.pid, signal.SIGTERM)
        rest = client.read_to_end()
        assert gateway.wait() == 0
    assert b'data: {"error":{"type":"overloaded_error","message":"The gateway is shutting down."}}\n\n' in rest
    assert not rest.endswith(b"0\r\n\r\n")
    gateway.log.wait_for("stopped: 0 finished, 1 cut")


def test_a_request_without_an_answer_yet_gets_one_when_the_drain_is_over(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "timeouts: {drain: 0.2}"))

    def say_nothing(visit: Visit) -> None:
        visit.read_body()
        assert visit.wait_until_left()

    with upstream.playing(say_nothing), gateway.connect() as client:
        client.send(CHAT)
        assert upstream.wait_for(lambda upstream: any(seen.whole for seen in upstream.requests))
        os.kill(gateway.pid, signal.SIGTERM)
        assert client.read_response().status == 503
        assert gateway.wait() == 0


def test_a_second_signal_is_immediate(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    with upstream.playing(HeldStreams()):
        (client,) = begin(gateway, 1)
        os.kill(gateway.pid, signal.SIGTERM)
        gateway.log.wait_for("stopping")
        asked = time.monotonic()
        os.kill(gateway.pid, signal.SIGINT)
        assert b"The gateway is shutting down." in client.read_to_end()
        assert gateway.wait() == 0
        assert time.monotonic() - asked < AT_ONCE


def test_an_idle_gateway_stops_at_once_whoever_is_connected(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    with gateway.connect() as idle, gateway.connect():
        assert idle.ask(READYZ).status == 200
        asked = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        assert gateway.wait() == 0
        assert time.monotonic() - asked < AT_ONCE


def test_a_hangup_ends_nothing(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    stream = HeldStreams()
    with upstream.playing(stream):
        (client,) = begin(gateway, 1)
        os.kill(gateway.pid, signal.SIGHUP)
        stream.let_end.set()
        assert b"[DONE]" in client.read_some()
    assert gateway.ask(READYZ).status == 200


def test_the_end_of_standard_input_stops_it_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.touch(mode=0o600)
    path.write_text(scene.config("http://127.0.0.1:9"))
    with subprocess.Popen(
        [*COMMAND, "--config", str(path), "--stop-with-stdin"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert any("serving on" in line for line in process.stderr)
        process.stdin.write("a line is no end\n")
        process.stdin.close()
        asked = time.monotonic()
        assert "stopped" in process.stderr.read()
    assert process.returncode == 0
    assert time.monotonic() - asked < AT_ONCE


def test_a_second_gateway_on_the_same_port_says_so_in_one_sentence(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    first = start_gateway(scene.config(upstream.url))
    second = start_gateway(scene.config(upstream.url), ("--port", str(first.port)), serves=False)
    assert second.wait() == 1
    said = [line for line in second.log.lines if not line.startswith("{")]
    assert len(said) == 1, said
    assert re.fullmatch(rf"Error: Port {first.port} on 127\.0\.0\.1 is taken\. .*", said[0])
    assert first.ask(READYZ).status == 200


# --- the sandbox


def processes_of(first: int) -> set[int]:
    """A process and all its descendants."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), set()).add(int(entry.name))
    found, new = set(), {first}
    while new:
        found |= new
        new = set().union(*(children.get(pid, set()) for pid in new)) - found
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class SandboxProcess:
    """`gguf-gateway sandbox`, as `make run` starts it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [COMMAND[0], "sandbox", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        self.all = processes_of(self.process.pid)

    def wait_until_gone(self) -> str:
        """Wait until every process has ended; what was printed last."""
        deadline = time.monotonic() + PATIENCE
        rest = self.process.communicate(timeout=PATIENCE)[0]
        while left := [pid for pid in self.all if is_running(pid)]:
            assert time.monotonic() < deadline, f"still running: {left}"
            time.sleep(0.02)
        return rest


def test_ctrl_c_ends_the_sandbox_at_once_even_with_a_stream_under_way() -> None:
    sandbox = SandboxProcess()
    assert len(sandbox.all) >= 5, sandbox.said
    found = re.search(r"http://127\.0\.0\.1:(\d+)", sandbox.said)
    key = re.search(r"\bgw_\w+", sandbox.said)
    assert found is not None
    assert key is not None
    body = json.dumps({"stream": True, "ignore_eos": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    with WireClient(int(found[1])) as client:
        client.send(request("/api/gguf/demo/v1/chat/completions", key=key[0], body=body))
        client.read_head()
        client.read_some()
        asked = time.monotonic()
        os.killpg(sandbox.process.pid, signal.SIGINT)  # as a terminal does
        assert b"The gateway is shutting down." in client.read_to_end()
        rest = sandbox.wait_until_gone()
    assert time.monotonic() - asked < AT_ONCE
    assert "Traceback" not in rest
    assert sandbox.process.returncode in {0, 130}


def test_a_sandbox_that_is_killed_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what is killed cannot tidy up
    sandbox = SandboxProcess()
    sandbox.process.kill()
    sandbox.wait_until_gone()


def test_a_sandbox_on_a_taken_port_says_so_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [COMMAND[0], "sandbox", "--port", str(port)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(f"Error: Port {port} on 127.0.0.1 is taken.")
    assert "Traceback" not in run.stderr
