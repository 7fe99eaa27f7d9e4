"""The snippets of docs/guide/mock-scenarios.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from mockserver import BackgroundMock, MockLlamaServer


@pytest.fixture
def mock() -> Iterator[BackgroundMock]:
    with MockLlamaServer() as mock:
        yield mock


def run_agent(url: str, question: str) -> str:
    """The client under test: asks, calls the tools it is told to, and asks again until there is an answer."""
    messages: list[anthropic.types.MessageParam] = [{"role": "user", "content": question}]
    with anthropic.Anthropic(base_url=url, api_key="none") as client:
        while True:
            message = client.messages.create(model="any", max_tokens=99, messages=messages)
            messages.append({"role": "assistant", "content": message.content})
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return "".join(block.text for block in message.content if block.type == "text")
            result = anthropic.types.ToolResultBlockParam
            results = [result(type="tool_result", tool_use_id=one.id, content="sunny") for one in calls]
            messages.append({"role": "user", "content": results})


def test_a_minute_of_loading_takes_no_minute() -> None:
    with MockLlamaServer(clock="virtual", state="deploying", load_seconds=60) as mock:
        mock.advance(59)
        assert mock.state == "deploying"
        mock.advance(1)
        assert mock.state == "ready"


def test_what_is_said_is_known_beforehand() -> None:
    with MockLlamaServer() as mock, openai.OpenAI(base_url=f"{mock.url}/v1", api_key="none") as client:
        mock.answers.add("It is sunny.", when={"contains": "weather"})
        question = "How is the weather?"
        answer = client.chat.completions.create(model="any", messages=[{"role": "user", "content": question}])
        assert answer.choices[0].message.content == "It is sunny."


@pytest.mark.slow
def test_a_tool_is_called_and_its_result_is_used(mock: BackgroundMock) -> None:
    call = {"name": "get_weather", "arguments": {"city": "Kyiv"}}
    mock.answers.add(turns=[{"calls": [call]}, {"text": "It is sunny in Kyiv."}], when={"contains": "weather"})
    assert run_agent(mock.url, "How is the weather?") == "It is sunny in Kyiv."
    assert [exchange.path for exchange in mock.requests] == ["/v1/messages", "/v1/messages"]


def test_the_file_of_answers_is_understood(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs/guide/mock-scenarios.md"
    written = re.search(r"```text\n(# answers.yaml\n.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert written is not None
    (tmp_path / "answers.yaml").write_text(written[1], encoding="utf-8")
    with (
        MockLlamaServer(answers=[str(tmp_path / "answers.yaml")]) as mock,
        openai.OpenAI(base_url=f"{mock.url}/v1", api_key="none") as client,
    ):
        said = [client.completions.create(model="any", prompt=text).choices[0].text for text in ("weather?", "hi")]
        assert said == ["It is sunny.", "I have nothing to say to that."]
