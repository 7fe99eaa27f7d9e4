"""Faults: which request meets which, and how they are armed."""

import asyncio
import json

import pytest

from mockserver import MockLlamaServer
from mockserver.core.request_matching import RequestView, WhenKeywords
from mockserver.core.rule_syntax import BadRule
from mockserver.play.faults import Faults
from mockserver.sandbox import Sandbox
from tests.harness.sockets.rawhttp import ask
from tests.unit.mockserver.play.faults.faulty_answers import CHAT, PLAIN, chat


def asked(text: str = "hi", path: str = CHAT, **headers: str) -> RequestView:
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    return RequestView("POST", path, headers, body)


def played(faults: Faults, requests: int = 10) -> str:
    return "".join("x" if faults.choose(asked()) else "." for _ in range(requests))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("503", "xxxxxxxxxx"),
        ("503 times=2", "xx........"),
        ("503 every=5", "....x....x"),
        ("503 every=3 times=2", "..x..x...."),
        ("503 skip=4 times=1", "....x....."),
    ],
)
def test_a_fault_is_met_as_often_as_it_says(line: str, expected: str) -> None:
    faults = Faults()
    faults.add(line)
    assert played(faults) == expected


def test_faults_follow_each_other_in_the_order_in_which_they_were_added() -> None:
    faults = Faults()
    faults.add("503", times=2)
    faults.add("429", times=1)
    met = [fault and fault.status for fault in (faults.choose(asked()) for _ in range(4))]
    assert met == [503, 503, 429, None]


@pytest.mark.parametrize(
    ("when", "is_met"),
    [
        ({"contains": "magic"}, True),
        ({"contains": "Magic"}, False),
        ({"matches": r"mag\w+ word$"}, True),
        ({"body_contains": '"role"'}, True),
        ({"endpoint": CHAT}, True),
        ({"endpoint": "/v1/*"}, True),
        ({"endpoint": "/v1/messages"}, False),
        ({"header": "X-Test"}, True),
        ({"header": "X-Test: 7"}, True),
        ({"header": "X-Test: 8"}, False),
        ({"header": "X-Other"}, False),
        ({"stream": True}, False),
        ({"model": "llama"}, False),
        ({"method": "post", "contains": "word"}, True),
    ],
)
def test_a_fault_is_for_the_requests_that_it_describes(when: WhenKeywords, is_met: bool) -> None:
    faults = Faults()
    faults.add("503", when=when)
    assert (faults.choose(asked("the magic word", **{"X-Test": "7"})) is not None) is is_met


def test_probes_meet_only_faults_that_name_their_endpoint() -> None:
    faults, probe = Faults(), RequestView("GET", "/health", {})
    faults.add("503")
    assert faults.choose(probe) is None
    faults.add("503 when.endpoint=/health")
    assert faults.choose(probe) is not None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("explode", "'explode' is no fault; there are content-length, "),
        ("cut", "'cut' needs one of after_bytes, after_events, after_characters, at."),
        ("cut after_bytes=x", "'after_bytes': Input should be a valid integer"),
        ("cut at=noon", "'at': Input should be 'head', 'event', 'character' or 'done'; got 'noon'."),
        ("cut after_bytes=-1", "'after_bytes' must be 0 or more."),
        ("503 after_bytes=1", "'status' does not take 'after_bytes'; it takes body, "),
        ("503 times=0", "'times' must be more than 0."),
        ("503 when.colour=red", "Unknown field 'when.colour'; there are endpoint, "),
        ("503 when.matches=[", "when: '[' is not a regular expression"),
        ("503 colour=red", "Unknown field 'colour'; there are fault, "),
        ("503 twice", "'twice' in '503 twice' is not key=value."),
        ('503 message="open', "cannot be read: No closing quotation."),
        ("trickle", "'trickle' needs 'bytes_per_second'."),
        ("200", "'status' must be between 300 and 599."),
    ],
)
def test_a_bad_fault_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(BadRule) as caught:
        Faults().add(line)
    assert sentence in str(caught.value)


async def test_fail_twice_then_succeed() -> None:
    async with MockLlamaServer() as mock:
        mock.faults.add("503", times=2)
        assert [(await chat(mock)).status for _ in range(3)] == [503, 503, 200]
        assert [exchange.fault for exchange in mock.requests] == ["503", "503", None]
        assert "fault 503" in repr(mock.requests[0])


async def test_a_header_breaks_the_requests_of_one_test_and_no_others() -> None:
    async with MockLlamaServer() as mock:
        first = [(await chat(mock, X_Mock_Fault="429 times=2 label=first")).status for _ in range(3)]
        second = [(await chat(mock, X_Mock_Fault="429 times=1 label=second")).status for _ in range(2)]
        assert (first, second, (await chat(mock)).status) == ([429, 429, 200], [429, 200], 200)
        bad = await chat(mock, X_Mock_Fault="explode")
        assert bad.status == 400
        assert "X-Mock-Fault: 'explode' is no fault" in bad.json()["error"]["message"]


async def test_faults_are_armed_listed_and_disarmed_over_the_control_port() -> None:
    async with MockLlamaServer() as mock:
        path = "/__mock__/faults"
        armed = await ask(mock.control_url, "POST", path, {"fault": "cut", "after_events": 3, "when": {"stream": True}})
        line = await ask(mock.control_url, "POST", path, body=b"503 times=2")
        assert (armed.status, line.status) == (201, 201)
        await chat(mock)
        listed = (await ask(mock.control_url, "GET", path)).json()["faults"]
        assert listed == [
            {"id": 1, "fault": "cut", "after_events": 3, "when": {"stream": True}, "seen": 0, "played": 0},
            {"id": 2, "fault": "status", "status": 503, "times": 2, "seen": 1, "played": 1},
        ]
        assert (await ask(mock.control_url, "DELETE", f"{path}/1")).status == 204
        assert (await ask(mock.control_url, "DELETE", f"{path}/1")).status == 404
        assert (await ask(mock.control_url, "DELETE", path)).status == 204
        assert not list(mock.faults)
        bad = await ask(mock.control_url, "POST", path, {"fault": "cut"})
        assert bad.status == 400
        assert bad.json()["error"].startswith("'cut' needs one of")


def test_the_mock_in_a_thread_takes_faults_too() -> None:
    with MockLlamaServer(faults=["503 times=1"]) as mock:
        mock.faults.add("502 times=1")
        statuses = [asyncio.run(ask(mock.url, "POST", CHAT, PLAIN)).status for _ in range(3)]
        assert statuses == [503, 502, 200]


def test_a_deployment_begins_each_test_without_the_script_before(gguf_sandbox: Sandbox) -> None:
    deployment = gguf_sandbox.deployment()
    deployment.mock.faults.add("503")
    deployment.mock.answers.add("Canned.")
    deployment.mock.play([{"at": 0.001, "state": "paused"}])
    gguf_sandbox.reset()
    assert (len(deployment.mock.faults), len(deployment.mock.answers)) == (0, 0)
    assert deployment.mock.state == "ready"
