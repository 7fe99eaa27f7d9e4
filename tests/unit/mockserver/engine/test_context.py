"""The context limit: where an answer ends without context shift, and how it goes on with it."""

import json
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.engine.context_window import shift
from tests.harness.sockets.rawhttp import ask

STORY = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt."


def mock(**options: Any) -> MockLlamaServer:
    return MockLlamaServer(context=64, unified=False, slots=1, endless=True, **options)


async def complete(server: MockLlamaServer, **body: Any) -> Any:
    return (await ask(server.url, "POST", "/completion", {"prompt": STORY} | body)).json()


async def test_an_answer_ends_where_the_context_is_full() -> None:
    async with mock() as server:
        answer = await complete(server)
        assert answer["stop_type"] == "limit"
        assert answer["truncated"] is True
        assert answer["tokens_evaluated"] + answer["tokens_predicted"] == 64


async def test_with_context_shift_an_answer_goes_on_past_the_end_of_the_context() -> None:
    async with mock(context_shift=True) as server:
        answer = await complete(server, n_predict=200)
        assert answer["tokens_predicted"] == 200
        assert answer["truncated"] is True
        assert answer["stop_type"] == "limit"
        assert answer["tokens_cached"] < 64
        assert (await complete(server, n_predict=5))["truncated"] is False


async def test_a_prompt_that_is_too_long_is_refused_with_context_shift_too() -> None:
    async with mock(context_shift=True) as server:
        answer = await complete(server, prompt=STORY * 9)
        assert answer["error"]["type"] == "exceed_context_size_error"


async def test_choices_that_share_a_prompt_cannot_be_shifted() -> None:
    async with MockLlamaServer(context=32, slots=2, endless=True, context_shift=True) as server:
        body = {"prompt": "Hi", "n": 2, "n_predict": 99}
        plain = await ask(server.url, "POST", "/completion", body)
        message = "context shift cannot be used for shared prompt"
        assert plain.status == 500
        assert plain.json()["error"] == {"code": 500, "message": message, "type": "server_error"}
        streamed = await ask(server.url, "POST", "/completion", body | {"stream": True})
        assert streamed.status == 200
        assert json.loads(streamed.chunks[-1].removeprefix(b"data: "))["error"]["message"] == message
        assert server.server_context.pool.busy == 0


@pytest.mark.parametrize(
    ("keep", "discard", "left"),
    [
        (0, 0, [0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),  # <s>, and the newer half of the rest
        (3, 0, [0, 1, 2, 3, 12, 13, 14, 15, 16, 17, 18, 19]),
        (-1, 0, [0, 1, 2, 3, 4, 5, 13, 14, 15, 16, 17, 18, 19]),  # a prompt of five
        (3, 4, [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
        (3, 99, [0, 1, 2, 3, 19]),
        (99, 0, [*range(17), 18, 19]),  # four are never kept
    ],
)
def test_a_shift_keeps_the_beginning_and_the_newest(keep: int, discard: int, left: list[int]) -> None:
    tokens = list(range(20))
    shift(tokens, {"n_keep": keep, "n_discard": discard}, 5, 21)
    assert tokens == left
