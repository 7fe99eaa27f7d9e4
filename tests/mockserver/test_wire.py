"""The mock against a real llama-server: every recorded exchange, asked again in the recorded order."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mockserver.server import MockLlamaServer
from tests.mockserver.rawhttp import RawAnswer, ask

RECORDINGS = Path(__file__).parent / "wire"
COMMON: dict[str, Any] = {"slots": 2, "context": 2048, "unified": False, "alias": "local", "temperature": 0.0}
COMMON |= {"sampling_seed": 42, "model": "models/tiny.gguf", "seed": 42}
# The recorded model has random weights: it never ends an answer by itself, and no grammar fits its vocabulary.
COMMON |= {"endless": True, "grammars": False}
OPTIONS: dict[str, dict[str, Any]] = {
    "ready": {"metrics_endpoint": True},
    "endpoints_off": {"slots_endpoint": False},
    "api_key": {"api_keys": ("secret",)},
    "loading": {"state": "deploying", "load_seconds": None},
    "embedding": {"embeddings": True},
    "reranking": {"reranking": True},
}

# What may differ, and why. Everything else is compared: status line, header names, order and values, chunks,
# events, keys and their order, types, and all other values.
MAY_DIFFER_KEYS = {
    # ids and times
    *("id", "item_id", "created", "created_at", "completed_at", "media_marker", "id_task", "id_slot"),
    *("prompt_ms", "prompt_per_token_ms", "prompt_per_second", "time_ms"),
    *("predicted_ms", "predicted_per_token_ms", "predicted_per_second"),
    # text that the model chose, and how many tokens its vocabulary makes of it
    *("content", "text", "delta", "token", "bytes", "tokens", "prompt", "piece", "logprob"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "tokens_evaluated"),
    *("tokens_predicted", "tokens_cached", "cache_n", "prompt_n", "predicted_n", "total", "cache", "processed"),
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "n_prompt_tokens"),
    *("has_new_line", "truncated"),
    # numbers that the model decides
    *("embedding", "score", "relevance_score", "index", "n_vocab", "n_ctx_train"),
}
MAY_DIFFER_HEADERS = {"Content-Length", "Process-Start-Time-Unix"}


def _cases() -> list[Any]:
    return [
        pytest.param(file.stem, number, id=f"{file.stem}-{exchange['name']}")
        for file in sorted(RECORDINGS.glob("*.json"))
        for number, exchange in enumerate(json.loads(file.read_text()))
    ]


def _shape(value: Any, name: str = "") -> Any:
    """A value with everything that may differ replaced by its type."""
    if isinstance(value, dict):
        return {key: _shape(item, key) for key, item in value.items()}
    if isinstance(value, list) and name == "embedding" and not isinstance(value[0], list):
        return [type(item).__name__ for item in value]
    if isinstance(value, list) and name in {"tokens", "bytes"}:
        return sorted({type(item).__name__ for item in value})
    if isinstance(value, list):
        return [_shape(item, name) for item in value]
    if name == "message" and isinstance(value, str):
        return re.sub(r"^request \(\d+ tokens\)", "request (N tokens)", value)
    return type(value).__name__ if name in MAY_DIFFER_KEYS else value


def _parse(chunk: str) -> Any:
    """A chunk as its events, or as JSON, or as text; keys keep their order as pairs."""
    if chunk.startswith(("data: ", "event: ")):
        return [
            [line if line == "data: [DONE]" else _line(line) for line in event.split("\n")]
            for event in chunk.split("\n\n")
        ]
    try:
        return _ordered(_shape(json.loads(chunk)))
    except json.JSONDecodeError:
        return chunk


def _line(line: str) -> Any:
    return _ordered(_shape(json.loads(line[6:]))) if line.startswith("data: ") else line


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _ordered(item)) for key, item in value.items()]
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _headers(pairs: list[Any]) -> list[tuple[str, str]]:
    return [(name, "*" if name in MAY_DIFFER_HEADERS else value) for name, value in pairs]


async def _replay(name: str) -> list[RawAnswer]:
    answers = []
    async with MockLlamaServer(**(COMMON | OPTIONS[name])) as mock:
        for exchange in json.loads((RECORDINGS / f"{name}.json").read_text()):
            request = exchange["request"]
            body = request["body"].encode() if "body" in request else None
            answer = await ask(
                mock.url,
                request["method"],
                request["path"],
                request.get("json"),
                body=body,
                headers=request.get("headers"),
            )
            answers.append(answer)
    return answers


_REPLAYED: dict[str, list[RawAnswer]] = {}


@pytest.mark.parametrize(("name", "number"), _cases())
async def test_the_mock_answers_as_recorded(name: str, number: int) -> None:
    if name not in _REPLAYED:
        _REPLAYED[name] = await _replay(name)
    answer = _REPLAYED[name][number]
    recorded = json.loads((RECORDINGS / f"{name}.json").read_text())[number]["response"]
    assert answer.status_line == recorded["status_line"]
    assert _headers(answer.headers) == _headers([tuple(pair) for pair in recorded["headers"]])
    chunks = [chunk.decode() for chunk in answer.chunks]
    assert [_parse(chunk) for chunk in chunks] == [_parse(chunk) for chunk in recorded["chunks"]]
