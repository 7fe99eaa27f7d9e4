"""The control URL of a sandbox: any language pauses, resumes, crashes and breaks a deployment behind the gateway."""

import contextlib
from collections.abc import Iterator
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.sandbox_command import SandboxCommand, sandbox_command, send

pytestmark = pytest.mark.slow

DEFINITION = """
accounts:
  tests:
    keys: [{name: tests, key: gw_a_key_for_these_tests}]
deployments:
  demo: {account: tests}
  long: {account: tests, mock: {tps: 50, endless: true, fault: [429 times=1 when.contains=first]}}
  resting: {account: tests, status: paused, mock: {state: paused}}
"""


@pytest.fixture(scope="module")
def module_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCommand]:
    path = tmp_path_factory.mktemp("sandbox") / "sandbox.yaml"
    path.write_text(DEFINITION)
    with sandbox_command("--config", str(path)) as served:
        yield served


@pytest.fixture
def sandbox(module_sandbox: SandboxCommand) -> SandboxCommand:
    assert module_sandbox.control("POST", "demo/reset")[0] == 200
    return module_sandbox


@pytest.mark.parametrize(
    ("state", "durations", "met"),
    [
        ("paused", {}, (503, "status: paused")),
        ("crashed", {}, (502, "unreachable right now")),
        ("restarting", {"down_seconds": 600}, (502, "unreachable right now")),
        ("deploying", {"load_seconds": 600}, (503, "status: deploying")),
    ],
)
def test_a_state_is_what_clients_of_the_gateway_meet(
    sandbox: SandboxCommand, state: str, durations: dict[str, float], met: tuple[int, str]
) -> None:
    status, told = sandbox.set_state("demo", state, **durations)
    assert (status, told["state"]) == (200, state)
    refused, body = sandbox.ask("demo")
    assert (refused, met[1] in body["error"]["message"]) == (met[0], True)
    status, told = sandbox.set_state("demo", "ready")
    assert (status, told["state"], told["status"], told["readiness"]) == (200, "ready", "auto", "ready")
    assert sandbox.ask("demo")[0] == 200


def test_a_deployment_that_was_paused_restarts_by_itself(sandbox: SandboxCommand) -> None:
    sandbox.set_state("demo", "paused")
    assert sandbox.set_state("demo", "restarting", down_seconds=0.2, load_seconds=0)[1]["status"] == "auto"
    assert sandbox.control("GET", f"demo/state/wait?state=ready&timeout={PATIENCE:g}")[0] == 200
    assert sandbox.ask("demo")[0] == 200


def test_ready_is_waited_for_until_the_gateway_lets_through(sandbox: SandboxCommand) -> None:
    sandbox.set_state("demo", "deploying", load_seconds=1)
    assert sandbox.ask("demo")[0] == 503
    status, told = sandbox.control("GET", f"demo/state/wait?state=ready&timeout={PATIENCE:g}")
    assert (status, told["readiness"]) == (200, "ready")
    assert sandbox.ask("demo")[0] == 200


def test_a_stream_is_broken_in_the_middle(sandbox: SandboxCommand) -> None:
    sandbox.control("POST", "long/reset")
    body = b'{"stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}'
    headers = {"Authorization": f"Bearer {sandbox.key}", "Content-Type": "application/json"}
    url = f"{sandbox.base_url('long')}/v1/chat/completions"
    with urlopen(Request(url, body, headers), timeout=PATIENCE) as stream:
        assert stream.readline().startswith(b"data: ")
        sandbox.set_state("long", "crashed")
        with pytest.raises(IncompleteRead) as caught:
            stream.read()
    assert b"broke off" in caught.value.partial


def test_faults_answers_and_requests_are_the_mocks_own(sandbox: SandboxCommand) -> None:
    assert sandbox.control("POST", "demo/faults", "429 times=1")[0] == 201
    assert sandbox.control("POST", "demo/answers", {"text": "It is sunny."})[0] == 201
    assert sandbox.ask("demo")[0] == 429
    assert sandbox.ask("demo")[1]["choices"][0]["message"]["content"].startswith("It")
    status, told = sandbox.control("GET", "demo/requests/wait?count=2&path=/v1/chat/completions")
    assert (status, [one["status"] for one in told["requests"]]) == (200, [429, 200])
    assert sandbox.control("DELETE", "demo/faults") == (204, None)


def test_a_reset_is_what_a_test_begins_with(sandbox: SandboxCommand) -> None:
    sandbox.control("POST", "long/faults", "500")
    sandbox.set_state("long", "paused")
    status, told = sandbox.control("POST", "long/reset")
    assert (status, told["state"], told["readiness"]) == (200, "ready", "ready")
    faults = sandbox.control("GET", "long/faults")[1]["faults"]
    assert [fault["status"] for fault in faults] == [429]
    assert {one["path"] for one in sandbox.control("GET", "long/requests")[1]["requests"]} <= {"/health", "/props"}


def test_a_deployment_that_is_resumed_in_the_file_is_ready(sandbox: SandboxCommand) -> None:
    path = Path(sandbox.said["config"])
    document = yaml.safe_load(path.read_text())
    sandbox.set_state("resting", "paused")
    assert sandbox.ask("resting")[0] == 503
    document["deployments"]["resting"]["status"] = "auto"
    path.write_text(yaml.safe_dump(document))
    wait_until(lambda: sandbox.ask("resting")[0] == 200)
    assert sandbox.control("GET", "resting/state")[1]["state"] == "ready"


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("demo/state", {"state": "pause"}, "'state' must be one of ready, deploying, paused, restarting, crashed,"),
        ("demo/state", {"state": "paused", "load": 1}, "Unknown field 'load'; valid are state, load_seconds"),
        ("demo/state", {"state": "crashed", "exit_code": 1}, "'exit_code' would end the mock"),
        ("demo/state", "paused", "The body is not JSON"),
        ("nobody/state", {"state": "paused"}, "The deployments with a mock are demo, long, resting."),
        ("demo/stat", {"state": "paused"}, "PUT /__mock__/stat: Not Found."),
    ],
)
def test_a_wrong_request_is_told_the_right_one(sandbox: SandboxCommand, path: str, body: Any, sentence: str) -> None:
    status, told = sandbox.control("PUT", path, body)
    assert status in {400, 404}
    assert sentence in told["error"]
    assert sandbox.ask("demo")[0] == 200


def test_what_it_prints_is_told_again(sandbox: SandboxCommand) -> None:
    said = sandbox.said
    assert said["deployments"]["demo"]["control_url"] == f"{said['control_url']}/demo"
    assert said["deployments"]["demo"]["openai_base_url"] == f"{said['url']}/api/gguf/demo/v1"
    with urlopen(said["control_url"], timeout=PATIENCE) as answer:
        assert yaml.safe_load(answer.read()) == said


@pytest.mark.parametrize(
    ("name", "value", "is_let_in"),
    [
        ("Origin", "https://evil.example", False),
        ("Origin", "http://localhost:3000", False),
        ("Origin", "null", False),
        ("Sec-Fetch-Site", "cross-site", False),
        ("Sec-Fetch-Site", "same-site", False),
        ("Sec-Fetch-Site", "none", True),
        ("Sec-Fetch-Mode", "cors", True),
        ("Host", "evil.example", False),
        ("Host", "127.0.0.1.evil.example:80", False),
        ("Host", "localhost:1", True),
        ("Host", "[::1]:1", True),
    ],
)
def test_no_page_in_a_browser_may_drive_it(sandbox: SandboxCommand, name: str, value: str, is_let_in: bool) -> None:
    mock_url = sandbox.said["control_url"]
    for url in (f"{mock_url}/demo/__mock__/faults", _control_url_of_the_mock(sandbox)):
        assert send(url, "POST", b"500", {name: value})[0] == (201 if is_let_in else 403)
    assert (sandbox.ask("demo")[0] == 500) is is_let_in


def _control_url_of_the_mock(sandbox: SandboxCommand) -> str:
    """The mock's own control port, which listens beside it: it is found among the ports of its process."""
    upstream = yaml.safe_load(Path(sandbox.said["config"]).read_text())["deployments"]["demo"]["upstream"]
    port = int(upstream.rpartition(":")[2])
    (other,) = _ports_listened_on_beside(port) - {port}
    return f"http://127.0.0.1:{other}/__mock__/faults"


def _ports_listened_on_beside(port: int) -> set[int]:
    listening = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            listening[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    for folder in Path("/proc").glob("[0-9]*/fd"):
        found = {listening[name] for name in _targets(folder) if name in listening}
        if port in found:
            return found
    raise AssertionError(f"nobody listens on {port}")


def test_ports_that_are_taken_are_named(module_sandbox: SandboxCommand) -> None:
    taken = module_sandbox.said["control_url"].rpartition(":")[2]
    with pytest.raises(AssertionError) as caught, sandbox_command("--control-port", taken):
        pass
    said = str(caught.value).replace("\n", " ")
    assert f"Error: Port {taken} on 127.0.0.1 is taken." in said
    assert "choose another with --control-port." in said
    assert "Traceback" not in said


def _targets(folder: Path) -> Iterator[str]:
    """What the descriptors of a process are. Some are closed meanwhile, and so may be the process."""
    with contextlib.suppress(OSError):
        for descriptor in folder.iterdir():
            with contextlib.suppress(OSError):
                yield str(descriptor.readlink())
