"""Canned answers in a file that is edited while the mock runs."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.yaml"
    path.write_text("- It is sunny.\n")
    return path


async def said(mock: MockLlamaServer) -> Any:
    return (await ask(mock.url, "POST", "/completion", {"prompt": "hi"})).json()["content"]


async def test_a_changed_file_is_read_at_the_next_request(file: Path) -> None:
    async with MockLlamaServer(answers=[str(file)]) as mock:
        assert await said(mock) == "It is sunny."
        file.write_text("- It rains.\n")
        assert await said(mock) == "It rains."
        assert [stored.answer.text for stored in mock.answers] == ["It rains."]


async def test_a_file_that_is_replaced_by_one_of_the_same_age_is_read(file: Path, tmp_path: Path) -> None:
    """As `git checkout` and many editors write a file."""
    async with MockLlamaServer(answers=[str(file)]) as mock:
        written = file.stat()
        other = tmp_path / "other"
        other.write_text("- It is foggy.")
        os.utime(other, ns=(written.st_atime_ns, written.st_mtime_ns))
        other.replace(file)
        assert await said(mock) == "It is foggy."


async def test_what_was_added_still_goes_before_the_file(file: Path) -> None:
    async with MockLlamaServer(answers=[str(file)]) as mock:
        mock.answers.add("From the test.", times=1)
        file.write_text("- From the file.\n")
        assert [await said(mock), await said(mock)] == ["From the test.", "From the file."]


BAD = [
    ("- It rains.\n- text: x\n  when:\n    conains: y\n", ":4: answer 2: Unknown field 'when.conains'; there are "),
    ("- turns:\n  - text: a\n  - words: many\n", ":3: answer 1: 'turns.1.words': "),
    ("- It rains.\n- {text: x\n", ":3: not valid YAML: "),
    ("", ": canned answers are a list"),
    (None, ": No such file or directory."),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
async def test_a_bad_file_keeps_the_old_answers_and_is_told_once(
    file: Path, caplog: pytest.LogCaptureFixture, text: str | None, sentence: str
) -> None:
    async with MockLlamaServer(answers=[str(file)]) as mock:
        file.write_text(text) if text is not None else file.unlink()
        with caplog.at_level(logging.WARNING, "mockserver.answers"):
            assert [await said(mock), await said(mock)] == ["It is sunny."] * 2
        [line] = caplog.messages
        assert line.startswith(f"{file}{sentence}")
        assert line.endswith(" The answers from before stay.")
        await mock.reset()
        assert await said(mock) == "It is sunny."
        file.write_text("- It is mended.\n")
        assert await said(mock) == "It is mended."


async def test_a_file_without_answers_may_get_some(file: Path) -> None:
    file.write_text("[]\n")
    async with MockLlamaServer(answers=[str(file)]) as mock:
        assert await said(mock) != "It rains."
        file.write_text("- It rains.\n")
        assert await said(mock) == "It rains."


@pytest.mark.parametrize("option", ["answers", "scenario"])
async def test_a_file_with_the_text_is_looked_for_beside_the_yaml(tmp_path: Path, option: str) -> None:
    (tmp_path / "sun.txt").write_text("It is sunny.")
    rules = [{"turns": [{"file": "sun.txt"}, "And warm."], "calls": [{"name": "read", "arguments": {"file": "x"}}]}]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"answers": rules} if option == "scenario" else rules))
    options: Any = {"answers": [str(path)]} if option == "answers" else {"scenario": str(path)}
    async with MockLlamaServer(**options) as mock:
        assert await said(mock) == "It is sunny."
        (stored,) = mock.answers
        assert stored.turns[1].text == "And warm."
        assert stored.answer.calls[0].arguments == {"file": "x"}


async def test_a_file_with_the_text_that_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    text = tmp_path / "sun.txt"
    text.write_text("It is sunny.")
    async with MockLlamaServer() as mock:
        mock.answers.add(file=str(text))
        text.unlink()
        answer = await ask(mock.url, "POST", "/completion", {"prompt": "hi"})
        assert answer.status == 500
        assert str(text) in answer.json()["error"]["message"]
