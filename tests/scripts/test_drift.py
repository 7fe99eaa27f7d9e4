"""`make drift`: what counts as alike, what is one cause, and that a run ends by itself and leaves nothing."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.sandbox.real_server import MODEL, server_folder
from scripts.conforming.counting import Count
from scripts.conforming.lists import Known
from scripts.drifting import report
from scripts.drifting.causes import Causes, smallest
from scripts.drifting.comparison import Difference, difference
from scripts.drifting.exchange import Answer, Request
from scripts.drifting.generating.generator import requests
from scripts.drifting.playing import Pair, Tally
from scripts.drifting.servers import MODES
from tests.harness.patience import PATIENCE

pytestmark = pytest.mark.tools

ASKED = Request("chat", "POST", "/v1/chat/completions", (), b'{"a": 1, "b": {"c": [1, 2]}}')


def answer(body: Any, status: str = "200 OK", kind: str = "application/json", end: str = "whole") -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(f"HTTP/1.1 {status}", [("Content-Type", kind)], [text.encode()], end)


def error(message: str, status: str = "400 Bad Request") -> Answer:
    return answer({"error": {"code": 400, "message": message, "type": "invalid_request_error"}}, status)


def stream(*events: Any) -> Answer:
    return answer("".join(f"data: {json.dumps(event)}\n\n" for event in events), kind="text/event-stream")


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_always_makes_the_same_requests(mode: str) -> None:
    first = list(requests(1, 50, mode))
    assert first == list(requests(1, 50, mode))
    assert first != list(requests(2, 50, mode))
    assert len({request.about for request in first}) > 3


@pytest.mark.parametrize(
    ("real", "mock"),
    [
        (answer({"content": "Red.", "id": "a"}), answer({"content": "Blue and green.", "id": "b"})),
        (answer({"tokens": [1, 2, 3]}), answer({"tokens": [4]})),
        (error("request (12 tokens) is too long"), error("request (13 tokens) is too long")),
        (stream({"content": "a"}, {"content": "b"}, {"stop": True}), stream({"content": "c"}, {"stop": True})),
        (answer({"finish_reason": "stop"}), answer({"finish_reason": "length"})),
        (answer({"embedding": [0.5, 1.5, 2.5]}), answer({"embedding": [0.5, 1.5]})),
    ],
)
def test_what_the_model_decides_is_alike(real: Answer, mock: Answer) -> None:
    assert difference(ASKED, real, mock) is None


LISTED = {"token": "a", "bytes": [97]}
UNTOLD = {"token": "", "bytes": []}
ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]}
SPOKEN = {"choices": [{"index": 0, "delta": {"content": "a"}}]}


def last(predicted: int, reason: str = "length") -> Any:
    return {"choices": [{"finish_reason": reason, "index": 0, "delta": {}}], "timings": {"predicted_n": predicted}}


@pytest.mark.parametrize(
    ("real", "mock", "choice"),
    [
        (
            answer({"message": {"content": "a"}}),
            answer({"message": {"content": "a", "tool_calls": []}}),
            "calls a tool",
        ),
        (answer({"logprobs": [LISTED, UNTOLD]}), answer({"logprobs": [LISTED]}), "no text"),
        (
            answer({"content": "\N{REPLACEMENT CHARACTER}"}),
            answer({"content": "a", "completion_probabilities": [LISTED]}),
            "in no list",
        ),
        (stream(ROLE, {"logprobs": [LISTED, UNTOLD]}, last(1)), stream(ROLE, last(1)), "no text"),
        (answer({"stop_sequence": None}), answer({"stop_sequence": "a"}), "a word at which to stop"),
        (stream(SPOKEN, last(2)), stream(ROLE, SPOKEN, last(2)), "part of a character"),
        (stream(ROLE, last(2)), stream(ROLE, SPOKEN, last(2)), "white space"),
        (stream(ROLE, last(1, "stop")), stream(ROLE, SPOKEN, last(2)), "is empty"),
    ],
)
def test_what_the_model_decides_beyond_words_is_named(real: Answer, mock: Answer, choice: str) -> None:
    found = difference(ASKED, real, mock)
    assert found is not None
    assert choice in found.choice


@pytest.mark.parametrize(
    ("real", "mock"),
    [
        (stream(SPOKEN, last(1)), stream(ROLE, SPOKEN, last(2))),
        (stream(SPOKEN, last(2, "stop")), stream(ROLE, SPOKEN, last(2))),
        (stream(ROLE, ROLE, SPOKEN, last(9)), stream(SPOKEN, last(2))),
        (stream({"error": {"content": "a"}}), stream({"content": "a"})),
        (answer({"content": "b"}), answer({"content": "a", "completion_probabilities": [LISTED]})),
        (stream(ROLE, {"logprobs": [LISTED, UNTOLD]}, last(1)), stream(last(1))),
        (answer({"content": "a", "id": "b"}), answer({"id": "b"}, kind="text/event-stream")),
    ],
)
def test_nothing_is_the_models_choice_without_evidence(real: Answer, mock: Answer) -> None:
    found = difference(ASKED, real, mock)
    assert found is not None
    assert found.choice == ""


@pytest.mark.parametrize(
    ("real", "mock", "where"),
    [
        (answer({}), answer({}, "400 Bad Request"), "status"),
        (error("a"), error("b"), "status"),
        (answer({}), answer({}, kind="text/plain"), "headers"),
        (answer({}), answer({}, end="cut"), "end"),
        (answer({"a": 1, "b": 2}), answer({"b": 2, "a": 1}), " keys"),
        (answer({"a": 1}), answer({"a": 1.0}), ".a"),
        (answer({"a": {"b": [True]}}), answer({"a": {"b": [1]}}), ".a.b[]"),
        (answer({"content": "a"}), answer({"content": None}), ".content"),
        (answer({"results": [{"index": 1}, {"index": 0}]}), answer({"results": [{"index": 1}]}), ".results length"),
        (answer([{"score": 0.5}, {"score": 0.2}]), answer([{"score": 0.5}]), " length"),
        (answer({"embedding": [0.5, 1.5, 2.5]}), answer({"embedding": [0.5]}), ".embedding length"),
        (stream(None, {"content": "a"}), stream({"content": "a"}), "[][][]"),
        (answer({"finish_reason": "stop"}), answer({"finish_reason": "eos"}), ".finish_reason"),
    ],
)
def test_all_else_is_a_difference_and_has_a_place(real: Answer, mock: Answer, where: str) -> None:
    found = difference(ASKED, real, mock)
    assert found is not None
    assert (found.where, found.choice) == (where, "")


def test_the_same_difference_is_one_cause_whatever_its_numbers() -> None:
    causes = Causes()
    longer = Request("chat", "POST", "/v1/chat/completions", (), b'{"a": 1, "b": {"c": [1, 2]}, "d": 3}')
    causes.add("ready", longer, Difference("status", "400 line 1, column 7", "200"))
    causes.add("ready", ASKED, Difference("status", "400 line 1, column 9", "200"))
    causes.add("ready", ASKED, Difference("status", "500", "200"))
    first, second = causes
    assert (first.hits, first.request, second.hits) == (2, ASKED, 1)


def test_what_the_model_chose_is_one_cause_wherever_it_shows() -> None:
    causes = Causes()
    causes.add("ready", ASKED, Difference("[] length", "a", "", "its answer is empty"))
    causes.add("api_key", ASKED, Difference("[][] keys", "", "b", "its answer is empty"))
    (cause,) = causes
    assert cause.hits == 2


def test_the_smallest_request_is_the_one_that_still_differs_so() -> None:
    causes = Causes()
    seen = Difference("status", "400", "200")
    causes.add("ready", ASKED, seen)

    def compare(request: Request) -> Difference | None:
        return seen if 2 in request.parsed().get("b", {}).get("c", []) else None

    (cause,) = causes
    assert smallest(cause, compare).parsed() == {"b": {"c": [2]}}


def test_a_real_server_that_is_slow_is_asked_again_with_patience() -> None:
    """One that says nothing at first; where both say nothing, there is no more to wait for."""
    with _answering(None, "{}") as real, _answering("{}") as mock:
        assert Pair("ready", real, mock, soon=0.5).compare(ASKED) is None


@contextmanager
def _answering(*bodies: str | None) -> Iterator[str]:
    """The URL of a server that answers each connection with the next of these; with None it keeps silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as held:

        def serve() -> None:
            for body in bodies:
                connection = held.enter_context(listener.accept()[0])
                if body is not None:
                    connection.recv(65536)
                    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)


def test_a_reason_stays_with_its_cause(tmp_path: Path) -> None:
    tally = Tally()
    for found in (None, None, Difference("[] length", "a", "", "its answer is empty")):
        tally.add("ready", ASKED, found)
    tally.add("ready", ASKED, Difference("status", "400 a | b", "200"))
    page = tmp_path / "drift.md"
    page.write_text(report.written(tally, "About.", page=page).replace("| 200 |  |", "| 200 | decided |"))
    tally.causes.add("ready", ASKED, Difference(".a", "1", "2"))
    text = report.written(tally, "About.", page=page)
    assert (
        '| 1 | `POST /v1/chat/completions {"a": 1, "b": {"c": [1, 2]}}` | status: 400 a ¦ b | 200 | decided |' in text
    )
    assert "| .a: 1 | 2 |  |" in text
    assert "| **ready** | all | **3** | 4 | 1 |" in text
    assert text.index("## What the model decides") < text.index("| [] length: a |  | its answer is empty |")
    assert report.share(tally, "ready") == "3 of 4, 75.0 %, 1 of them but for the model"


def test_llama_cpps_tests_are_told_with_reasons_and_kept_without_a_run(tmp_path: Path) -> None:
    count = Count(4, {"a", "b", "c[x|y]"}, Known({"a", "d"}, {"b": "the mock has no eyes"}))
    told = report.tests_told(count, "Run today.")
    assert [line for line in told.splitlines() if line.startswith("| ") and line[2].isdigit()] == [
        "| 4 | are run |",
        "| 3 | pass on the real server, with this model whichever a test asks for |",
        "| 1 | pass on it and on the mock |",
        "| 2 | pass on the mock: `make conformance` |",
    ]
    assert told.endswith("- `b`: the mock has no eyes\n- `c[x¦y]`: no reason is known")
    page = tmp_path / "drift.md"
    page.write_text(report.written(Tally(), "About.", told, page))
    assert told in report.written(Tally(), "Later.", page=page)


def test_without_a_real_server_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGUF_GATEWAY_CACHE", str(tmp_path))
    run = _drift()
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("drift: There is no real llama-server in ")
    assert run.stderr.count("\n") == 1


def test_a_run_ends_by_itself_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock takes the part of the real one: all is alike."""
    monkeypatch.setenv("GGUF_GATEWAY_CACHE", str(tmp_path))
    binary = server_folder() / "llama-server"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m mockserver "$@"\n')
    binary.chmod(0o755)
    (binary.parents[1] / MODEL).touch()
    run = _drift("--count", "20", "--mode", "reranking", "--mode", "api_key", "--no-conformance", "--dry")
    assert run.stderr == ""
    assert run.stdout.splitlines()[0] == "reranking: 25 of 25, 100.0 %"
    assert run.stdout.endswith("## What differs\n\nNothing.\n\n## What the model decides\n\nNothing.\n\n")
    said = subprocess.run(["ps", "-wweo", "args="], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in said


def _drift(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.drift", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
