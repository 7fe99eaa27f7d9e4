"""Agents with their own packages against the mock: whole loops of thought, call, result and answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mockserver import BackgroundMock, MockLlamaServer
from tests.harness.processes.foreign_packages import INSTALL_SECONDS, install

pytestmark = [pytest.mark.tools, pytest.mark.timeout(INSTALL_SECONDS + 180)]

_SCRIPT = Path(__file__).with_name("agents_at_work.py")
_RUN_SECONDS = 120
ANSWER = "It is sunny in Kyiv."
LOOK = {"reasoning": "I should look it up.", "text": "Let me look."}
KNOW = {"reasoning": "Now I know.", "text": ANSWER}
IN_KYIV = {"name": "get_weather", "arguments": {"city": "Kyiv"}}
FINAL = {"name": "final_answer", "arguments": {"answer": ANSWER}}
PYTHON: Mapping[str, tuple[str, dict[str, Any]]] = {
    "openai_agents": ("openai-agents==0.24.0", KNOW),
    "openai_agents streamed": ("openai-agents==0.24.0", KNOW),
    "pydantic_ai": ("pydantic-ai-slim[openai]==2.68.0", KNOW),
    "langchain": ("langchain-openai==1.7.4", KNOW),
    "smolagents": ("smolagents[openai]==1.26.0", {"reasoning": "Now I know.", "calls": [FINAL]}),
}


def _run(command: list[str], **environ: str) -> str:
    run = subprocess.run(
        command,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@contextmanager
def _mock(call: dict[str, Any], last: dict[str, Any]) -> Iterator[BackgroundMock]:
    with MockLlamaServer(context=100_000) as mock:
        mock.answers.add(turns=[LOOK | {"calls": [call]}, last], when={"contains": "weather"})
        yield mock


@pytest.mark.parametrize("name", PYTHON)
def test_an_agent_in_python_asks_calls_reads_and_answers(name: str) -> None:
    package, last = PYTHON[name]
    folder = install("pip", [package])
    with _mock(IN_KYIV, last) as mock:
        agent, *streamed = name.split()
        shown = _run([sys.executable, str(_SCRIPT), agent, mock.url, *streamed], PYTHONPATH=str(folder))
        statuses = [exchange.status for exchange in mock.requests]
    assert json.loads(shown.splitlines()[-1]) == [ANSWER, ANSWER]
    assert statuses == [200] * 4


def test_codex_asks_calls_reads_and_answers(tmp_path: Path) -> None:
    codex = install("npm", ["@openai/codex@0.171.0"]) / "node_modules" / ".bin" / "codex"
    call = {"name": "exec_command", "arguments": {"cmd": "echo sunny in Kyiv"}}
    with _mock(call, KNOW) as mock:
        (tmp_path / "config.toml").write_text(
            'model = "any"\nmodel_provider = "mock"\n[model_providers.mock]\nname = "mock"\n'
            f'base_url = "{mock.url}/v1"\nwire_api = "responses"\n'
        )
        # What it runs is the line above: nothing that would need a sandbox.
        further = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        first = _run([str(codex), "exec", *further, "How is the weather?"], CODEX_HOME=str(tmp_path))
        again = ["exec", "resume", "--last", *further, "And the weather tomorrow?"]
        second = _run([str(codex), *again], CODEX_HOME=str(tmp_path))
        answered = [exchange for exchange in mock.requests if exchange.path == "/v1/responses"]
    assert first.strip().endswith(ANSWER)
    assert second.strip().endswith(ANSWER)
    assert [exchange.status for exchange in answered] == [200] * 4
    outputs = [item for item in answered[-1].json()["input"] if item.get("type") == "function_call_output"]
    assert all("sunny in Kyiv" in str(item["output"]) for item in outputs)
    assert len(outputs) == 2
