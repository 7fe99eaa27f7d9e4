"""What a test says of a deployment directly: faults, answers, scenarios, time; and what it is told in the end."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from mockserver import MockLlamaServer, NotInTime
from mockserver.sandbox import Deployment, Sandbox, SandboxFactory
from tests.harness.patience import PATIENCE, wait_until

pytestmark = pytest.mark.slow

CHAT = "/v1/chat/completions"


def ask(sandbox: Sandbox, deployment: Deployment, text: str = "Hello", **further: Any) -> tuple[int, Any]:
    """Status and JSON of a chat completion."""
    body = json.dumps({"messages": [{"role": "user", "content": text}], **further}).encode()
    headers = {"Authorization": f"Bearer {sandbox.key}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(deployment.base_url + CHAT, body, headers), timeout=PATIENCE
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def is_working(deployment: Deployment) -> bool:
    """Whether a slot of its mock is at work."""
    with urllib.request.urlopen(f"{deployment.mock.url}/slots", timeout=PATIENCE) as answer:
        return any(slot["is_processing"] for slot in json.load(answer))


def test_faults_and_answers_are_lines_of_the_deployment(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.answers.add("It is sunny.", when={"contains": "weather"})
    demo.faults.add("429", times=1)
    assert ask(gguf_sandbox, demo)[0] == 429
    status, body = ask(gguf_sandbox, demo, "How is the weather?")
    assert (status, body["choices"][0]["message"]["content"]) == (200, "It is sunny.")
    assert [request.fault for request in demo.requests] == ["429", None]


def test_the_next_test_meets_none_of_them(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.faults.add("429")
    demo.answers.add("It is sunny.")
    demo.play([{"at": 0, "state": "paused"}])
    gguf_sandbox.reset()
    assert (len(demo.faults), len(demo.answers)) == (0, 0)
    assert ask(gguf_sandbox, demo)[0] == 200


def test_what_a_mock_was_made_with_is_there_in_every_test() -> None:
    with Sandbox({"demo": MockLlamaServer(faults=["429 times=1"])}) as sandbox:
        demo = sandbox.deployment()
        for _ in range(2):
            sandbox.reset()
            assert [ask(sandbox, demo)[0] for _ in range(2)] == [429, 200]


def test_a_scenario_and_its_time_are_lines_too(gguf_sandbox_factory: SandboxFactory) -> None:
    sandbox = gguf_sandbox_factory(clock="virtual")
    demo = sandbox.deployment()
    demo.play([{"at": 0, "state": "paused"}, {"at": 3600, "state": "ready"}])
    assert ask(sandbox, demo)[0] == 502
    demo.advance(3600)
    demo.wait_until_ready()
    assert ask(sandbox, demo)[0] == 200


async def test_they_are_awaited_where_other_tasks_go_on(gguf_sandbox_factory: SandboxFactory) -> None:
    demo = gguf_sandbox_factory(clock="virtual").deployment()
    await demo.aio.play([{"at": 0, "state": "deploying"}, {"at": 60, "state": "ready"}])
    await demo.aio.advance(59)
    assert demo.mock.state == "deploying"
    await demo.aio.hang()
    assert demo.mock.state == "hung"
    await demo.aio.stop_playing()
    await demo.aio.resume()


# --- what did not happen in time


def test_a_wait_in_vain_is_of_one_type_and_says_what_was(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    with pytest.raises(
        NotInTime, match=r"^demo: fewer than 1 request\(s\) with status=200 in 0.01 s.\ndemo received no"
    ):
        demo.wait_for_requests(1, status=200, timeout=0.01)
    demo.restart(down_seconds=0, load_seconds=60)
    demo.mock.wait_for_requests(1, path="/health", timeout=PATIENCE)
    with pytest.raises(NotInTime, match=r"^demo is not ready after 0.01 s: its mock was restarting \(loading\)\.$"):
        demo.wait_until_ready(timeout=0.01)
    demo.crash()
    with pytest.raises(NotInTime, match=r"^the mock is not ready after 0.01 s: it was crashed \(down\)\.$"):
        demo.mock.wait_for_state("ready", timeout=0.01)


def test_a_deployment_that_only_the_gateway_holds_back_says_so(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    gguf_sandbox.set_status("demo", "deploying")
    said = r"^demo is not ready after 0.01 s: its mock is ready, but the gateway answers 503 \(status deploying\)\.$"
    with pytest.raises(NotInTime, match=said):
        demo.wait_until_ready(timeout=0.01)


async def test_a_mock_tells_what_it_played_meanwhile() -> None:
    async with MockLlamaServer() as mock:
        await mock.set_state("restarting", down_seconds=0, load_seconds=0)
        with pytest.raises(NotInTime, match=r"restarting \(.*then ready \(up\)\.$"):
            await mock.wait_for_state("hung", timeout=0.5)


def test_both_kinds_of_handler_catch_what_did_not_happen() -> None:
    assert issubclass(NotInTime, AssertionError)
    assert issubclass(NotInTime, TimeoutError)
    assert f"{NotInTime.__module__}.{NotInTime.__qualname__}" == "mockserver.NotInTime"


# --- what is told of a test that failed


def test_a_report_tells_of_its_own_test_only(gguf_sandbox: Sandbox) -> None:
    slow, demo = gguf_sandbox["slow"], gguf_sandbox["demo"]
    body = json.dumps({"prompt": "Once", "stream": True, "max_tokens": 1000}).encode()
    headers = {"Authorization": f"Bearer {gguf_sandbox.key}", "Content-Type": "application/json"}
    earlier = urllib.request.Request(f"{slow.base_url}/v1/completions", body, headers)
    with urllib.request.urlopen(earlier, timeout=PATIENCE):
        assert ask(gguf_sandbox, demo, max_tokens=3)[0] == 200
        gguf_sandbox.reset()
    demo.faults.add("429", times=1)
    assert ask(gguf_sandbox, demo)[0] == 429
    wait_until(lambda: not is_working(slow), "the earlier stream never ended")
    report = gguf_sandbox.report()
    assert [line for line in report.splitlines() if " -> 200" in line and "/slots" not in line] == []
    (logged,) = [line for line in report.splitlines() if f"demo {CHAT} -> 429 finished" in line]
    assert logged in report[report.index("the gateway's log ends:") :]


def test_a_report_of_nothing_says_so(gguf_sandbox: Sandbox) -> None:
    def says_nothing() -> bool:
        gguf_sandbox.reset()
        return gguf_sandbox.report().splitlines()[-1] == "the gateway logged nothing."

    wait_until(says_nothing, "what was done to an upstream before is noticed again and again")
