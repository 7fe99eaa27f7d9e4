"""The mock against a real llama-server: every recorded exchange, asked again in the recorded order."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.cli.llama_server_options import options_from
from mockserver.cli.main import main
from tests.harness.sockets.rawhttp import RawAnswer, ask

RECORDINGS = Path(__file__).parents[3] / "recordings"
# The flags of the recorded server: `python -m scripts.record_wire` records it anew.
COMMON = "-m /models/SmolLM2-135M-Instruct.Q4_1.gguf -c 2048 -np 2 --alias local --chat-template chatml --temp 0"
COMMON += " --seed 42 --port 0"
FLAGS = {
    "ready": "--slots --metrics",
    "endpoints_off": "--no-slots",
    "api_key": "--api-key secret",
    "loading": "--state deploying --load-seconds 3600",
    "embedding": "--embeddings --pooling mean",
    "reranking": "--reranking",
}

# What may differ, and why. Everything else is compared: status line, header names, order and values, chunks,
# events, keys and their order, types, and all other values.
MAY_DIFFER_KEYS = {
    # ids and times
    *("id", "item_id", "created", "created_at", "completed_at", "media_marker", "id_task"),
    *("prompt_ms", "prompt_per_token_ms", "prompt_per_second", "time_ms"),
    *("predicted_ms", "predicted_per_token_ms", "predicted_per_second"),
    # text that the model chose, and how many tokens its vocabulary makes of it
    *("content", "text", "delta", "token", "bytes", "tokens", "piece", "logprob"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "tokens_evaluated"),
    *("tokens_predicted", "tokens_cached", "cache_n", "prompt_n", "predicted_n", "total", "cache", "processed"),
    *("input_tokens", "output_tokens", "cache_read_input_tokens", "n_prompt_tokens"),
    # numbers that the model decides, and what the file says that the model lies in
    *("embedding", "score", "relevance_score", "index", "n_vocab", "n_ctx_train", "n_embd", "n_params", "size"),
    *("ftype", "model_ftype", "vocab_type"),
    # the build: one from an sdist does not know its commit
    *("system_fingerprint", "build_info"),
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
        return sorted({type(item).__name__ for item in value})  # its length is the model's
    if isinstance(value, list) and name in {"tokens", "bytes"} and not any(isinstance(i, dict) for i in value):
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
    context = main.make_context("mock-llama-server", f"{COMMON} {FLAGS[name]}".split())
    async with MockLlamaServer(options_from(context.params, {})) as mock:
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


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("0c1e570/*.json")), ids=lambda path: path.stem)
def test_what_is_kept_of_an_older_build_is_what_has_changed(path: Path) -> None:
    today = {exchange["name"]: exchange for exchange in json.loads((RECORDINGS / path.name).read_text())}
    for older in json.loads(path.read_text()):
        newer = today[older["name"]]
        assert older["request"] == newer["request"]
        assert _told(older["response"]) != _told(newer["response"]), older["name"]


def _told(response: dict[str, Any]) -> list[Any]:
    return [response["status_line"], *map(_parse, response["chunks"])]
