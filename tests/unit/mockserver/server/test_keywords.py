"""The keyword arguments of the mock: known to type checkers and editors, and a wrong one is told the right ones."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from mockserver import MockLlamaServer
from mockserver.core.options import Options
from mockserver.core.request_matching import RequestMatcher, WhenKeywords
from mockserver.core.state import State, StateName
from mockserver.engine.canned_answers import AnswerKeywords, CannedAnswer, CannedAnswers
from mockserver.play.faults import Fault, FaultKeywords, Faults
from mockserver.play.journal import EndName, ExchangeEnd
from mockserver.sandbox import Sandbox
from mockserver.server.option_keywords import OptionKeywords

ROOT = Path(__file__).parents[4]
untyped: Any = MockLlamaServer


def wrong(value: Any) -> Any:
    """A value that a type checker would not let pass."""
    return value


@pytest.mark.parametrize(
    ("keywords", "rule", "positional"),
    [
        (OptionKeywords, Options, set()),
        (FaultKeywords, Fault, {"fault"}),
        (AnswerKeywords, CannedAnswer, set()),
        (WhenKeywords, RequestMatcher, set()),
    ],
)
def test_type_checkers_know_the_keywords_that_there_are(keywords: Any, rule: Any, positional: set[str]) -> None:
    assert set(get_type_hints(keywords)) == {field.name for field in fields(rule)} - positional


def test_the_types_of_the_options_are_those_of_the_keywords() -> None:
    assert get_type_hints(OptionKeywords) == get_type_hints(Options)


@pytest.mark.parametrize(("names", "there_are"), [(StateName, State), (EndName, ExchangeEnd)])
def test_type_checkers_know_the_names_that_there_are(names: Any, there_are: Any) -> None:
    (literal,) = (one for one in get_args(names) if one is not there_are)
    assert get_args(literal) == tuple(there_are)


@pytest.mark.parametrize(
    ("mistake", "right"),
    [
        (lambda: untyped(tps=5), "no option 'tps'; there are host, port"),
        (lambda: untyped(token_per_second=5), "did you mean 'tokens_per_second'?"),
        (
            lambda: untyped(state="pasued"),
            "no state 'pasued'; there are ready, deploying, paused, restarting, crashed,",
        ),
        (lambda: untyped(clock="virtul"), "'clock' is one of real, virtual; got 'virtul'"),
        (lambda: untyped(port=99999), "'port' is 0 to 65535; got 99999"),
        (lambda: untyped(slots=0), "'slots' is 1 or more; got 0"),
        (lambda: untyped(batch=0), "'batch' is 1 or more; got 0"),
        (lambda: untyped(ttft=-1), "'ttft' is 0 or more; got -1"),
        (lambda: untyped(journal_entries=-1), "'journal_entries' is 1 or more; got -1"),
        (lambda: untyped(context="4k"), "'context' is a whole number; got a text"),
        (lambda: untyped(tokens_per_second="fast"), "'tokens_per_second' is a number; got a text"),
        (lambda: untyped(load_factor="no"), "'load_factor' is a number; got a text"),
        (lambda: untyped(host=127), "'host' is a text; got 127"),
        (lambda: untyped(answers="answers.yaml"), "'answers' is a list of texts; got a text"),
        (lambda: untyped(answers=[{"text": "Hi."}]), "'answers' is a list of texts; got a list with a dict"),
        (lambda: untyped(api_keys="a-secret"), "'api_keys' is a list of texts; got a text"),
        (lambda: untyped(api_keys={"a-secret"}), "'api_keys' is a list of texts; got a set"),
        (lambda: untyped(api_keys=b"a-secret"), "'api_keys' is a list of texts; got a bytes"),
        (
            lambda: Sandbox(endpoints=wrong(["opnai"])),
            "'endpoints' is a list of openai, anthropic, native; got ['opnai']",
        ),
        (
            lambda: Sandbox(endpoints=wrong("native")),
            "'endpoints' is a list of openai, anthropic, native; got 'native'",
        ),
        (lambda: Sandbox(wrong({"a": {"tps": 3}})), "The deployment 'a' is a MockLlamaServer(...), not a dict."),
        (lambda: Sandbox(wrong([MockLlamaServer()])), "'deployments' is a mapping: a MockLlamaServer for each name."),
        (lambda: Faults().add("cut at=hed"), "'at': Input should be 'head', 'event', 'character' or 'done'"),
        (lambda: Faults().add("cot"), "'cot' is no fault; there are content-length, content-type, cut"),
        (lambda: Faults().add("hang second=3"), "Unknown field 'second'; there are fault, after_bytes"),
        (lambda: Faults().add("hang", times=1, to="x"), "it takes every, label, seconds, skip, times, when."),
        (lambda: Faults().add("503 when.contain=x"), "'when.contain'; there are endpoint, method, model, contains"),
        (lambda: CannedAnswers().add({"txt": "x"}), "Unknown field 'txt'; there are text, file, say"),
    ],
)
def test_a_wrong_option_lists_the_right_ones(mistake: Callable[[], object], right: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        mistake()
    assert right in str(caught.value)


def test_a_mock_that_has_served_says_that_it_serves_once() -> None:
    mock = MockLlamaServer()
    with mock as first:
        with pytest.raises(RuntimeError, match="serves once; make another one"), mock:
            pass
        assert first.state == State.READY
    with pytest.raises(RuntimeError, match="serves once; make another one"), mock:
        pass


def test_what_can_be_a_value_is_taken(tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text("- Hello.\n")
    mock = untyped(
        ttft=1, load_seconds=None, answers=[tmp_path / "answers.yaml"], api_keys=("a", "b"), state=State.HUNG
    )
    assert mock.options.ttft == 1


async def test_a_wrong_state_or_ending_is_no_wait_in_vain() -> None:
    async with MockLlamaServer() as mock:
        any_mock: Any = mock
        with pytest.raises(ValueError, match="no state 'redy'; there are ready, deploying"):
            await any_mock.wait_for_state("redy")
        with pytest.raises(ValueError, match="no state 'pause'; there are ready, deploying"):
            await any_mock.set_state("pause")
        with pytest.raises(ValueError, match="'ended' is one of running, finished, aborted, cut; got 'abort'"):
            await any_mock.wait_for_requests(ended="abort")


_MISTAKEN = """
from mockserver import BackgroundMock
from mockserver.sandbox import MockFactory, Sandbox, SandboxFactory

def test_it(gguf_sandbox: Sandbox, gguf_sandbox_factory: SandboxFactory, mocks: MockFactory) -> None:
    demo = gguf_sandbox.deployment()
    gguf_sandbox_factory(tokens_per_secnd=5)
    mocks(ttft="long")
    demo.faults.add("503", tims=2)
    demo.faults.add("503", times=2, when={"contian": "x"})
    demo.answers.add("Hello.", wen={})
    demo.wait_for_requests(1, ended="abort")
    demo.mock.set_state("pasued")
    demo.advance("5")

def test_that_is_right(gguf_sandbox_factory: SandboxFactory, mock_llama_server: BackgroundMock) -> None:
    sandbox = gguf_sandbox_factory(tokens_per_second=5, state="deploying", server={"limits": {"body_bytes": 9}})
    sandbox["demo"].faults.add("cut", after_events=3, when={"contains": "x", "stream": True})
    sandbox["demo"].answers.add("Hello.", when={"contains": "x"}, times=1)
    sandbox["demo"].answers.add(calls=[{"name": "f", "arguments": {}}])
    sandbox["demo"].wait_for_requests(1, ended="aborted")
    mock_llama_server.set_state("deploying", load_seconds=1)
"""


@pytest.mark.slow
def test_mypy_tells_users_of_each_wrong_keyword(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(_MISTAKEN)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "test_users.py"]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    wrong = [int(line.split(":")[1]) for line in run.stdout.splitlines() if ": error:" in line]
    assert wrong == list(range(7, 15)), run.stdout
