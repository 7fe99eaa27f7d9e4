"""Endpoints beside those of a model, asked rightly and wrongly; all answers are those of llama.cpp b11434."""

from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

NOT_FOUND = {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}
DISABLED = {"error": {"message": "this feature is disabled", "type": "feature_disabled"}}
NO_DECISIONS = "This model is not a decision model"
NO_BODY = (
    "invalid body: [json.exception.parse_error.101] parse error at line 1, column 2: "
    "syntax error while parsing object key - unexpected end of input; expected string literal"
)


def _error(message: str, code: int = 400, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind}}


ASKED: tuple[tuple[str, str, bytes | None, int, Any], ...] = (
    ("GET", "/v1/stream", None, 400, _error("Missing conversation id in path")),
    ("GET", "/v1/stream?conv_id=a&from=x", None, 404, NOT_FOUND),
    ("DELETE", "/v1/stream", None, 400, _error("Missing conversation id in path")),
    ("POST", "/v1/streams/lookup", b"[]", 200, []),
    ("POST", "/v1/streams/lookup", b'{"conversation_ids":"x"}', 200, []),
    ("POST", "/v1/streams/lookup", b'{"conversation_ids":["x",5,""]}', 200, []),
    ("POST", "/v1/streams/lookup", b"{", 400, {"error": {"message": NO_BODY, "type": "invalid_request_error"}}),
    ("GET", "/tools", None, 403, DISABLED),
    ("POST", "/tools", b"{}", 403, DISABLED),
    ("GET", "/cors-proxy", None, 403, DISABLED),
    ("POST", "/v1/chat/completions/control", b"5", 400, _error("missing completion id")),
    ("POST", "/v1/chat/completions/control", b'{"id":"x","action":5}', 400, _error("unknown control action")),
    ("POST", "/v1/systemone", b"nope", 501, _error(NO_DECISIONS, 501, "not_supported_error")),
    ("POST", "/lora-adapters", b"{}", 400, _error("Request body must be an array")),
    ("POST", "/lora-adapters", b"[{}]", 200, {"success": True}),
    ("POST", "/models/load", b"{}", 404, NOT_FOUND),
    ("DELETE", "/models?model=x", None, 404, NOT_FOUND),
    ("POST", "/predict", b"{}", 404, NOT_FOUND),
)


@pytest.mark.parametrize(("method", "path", "body", "status", "answered"), ASKED)
async def test_an_endpoint_answers_as_the_real_one(
    method: str, path: str, body: bytes | None, status: int, answered: Any
) -> None:
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, method, path, body=body)
    assert (answer.status, answer.json()) == (status, answered)
    assert answer.header("Content-Type") == "application/json; charset=utf-8"


async def test_a_stopped_stream_has_a_type_and_no_content() -> None:
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "DELETE", "/v1/stream?conv_id=a")
    assert (answer.status, answer.header("Content-Type"), answer.header("Content-Length")) == (
        204,
        "application/json",
        "0",
    )


async def test_a_stream_is_found_by_its_conversation_and_by_that_with_a_model() -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "stream": True}
    async with MockLlamaServer() as mock:
        await ask(mock.url, "POST", "/v1/chat/completions", body, headers={"X-Conversation-Id": "talk::local"})
        for name, count in (("talk", 1), ("talk::local", 1), ("tal", 0)):
            found = await ask(mock.url, "POST", "/v1/streams/lookup", {"conversation_ids": [name]})
            assert len(found.json()) == count
        far = await ask(mock.url, "GET", "/v1/stream?conv_id=talk::local&from=99999")
        assert (far.status, far.body, far.complete) == (200, b"", True)
        wrong = await ask(mock.url, "GET", "/v1/stream?conv_id=talk::local&from=x")
        assert wrong.json() == _error("Invalid 'from' offset")


async def test_a_model_says_what_goes_in_and_what_comes_out() -> None:
    async with MockLlamaServer() as mock:
        [model] = (await ask(mock.url, "GET", "/v1/models")).json()["data"]
    assert list(model) == ["id", "aliases", "tags", "object", "architecture", "created", "owned_by", "meta"]
    assert model["architecture"] == {"input_modalities": ["text"], "output_modalities": ["text"]}


async def test_what_has_nothing_to_do_with_the_model_does_not_wake_it() -> None:
    async with MockLlamaServer(state="sleeping") as mock:
        for path in ("/v1/stream?conv_id=a", "/tools", "/cors-proxy"):
            await ask(mock.url, "GET", path)
        assert (await ask(mock.url, "GET", "/props")).json()["is_sleeping"] is True
