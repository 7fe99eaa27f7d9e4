"""No body, however odd, may break the mock: whatever comes is answered with JSON, and nothing is logged."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockserver import BackgroundMock, MockLlamaServer
from tests.harness.sockets.rawhttp import RawAnswer, ask

ENDPOINTS = [
    *("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"),
    *("/v1/embeddings", "/embedding", "/v1/rerank", "/completion", "/infill", "/tokenize", "/detokenize"),
    *("/apply-template", "/lora-adapters", "/v1/streams/lookup", "/slots/0?action=save"),
    *("/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"),
]
FIELDS = [
    *("messages", "prompt", "input", "content", "tokens", "query", "documents", "texts", "top_n", "stream", "n"),
    *("max_tokens", "n_predict", "temperature", "seed", "stop", "stop_sequences", "logit_bias", "n_probs"),
    *("logprobs", "top_logprobs", "tools", "tool_choice", "response_format", "json_schema", "grammar", "system"),
    *("thinking", "reasoning_effort", "chat_template_kwargs", "stream_options", "id_slot", "response_fields"),
    *("encoding_format", "input_prefix", "input_suffix", "input_extra", "filename", "conversation_ids"),
    *("instructions", "continue_final_message", "add_generation_prompt", "samplers", "n_keep", "verbose"),
]
MESSAGES: list[Any] = [[{"role": "user", "content": "hi"}], [{"role": "tool", "content": None}], []]
USUAL: dict[str, Any] = {"max_tokens": 3, "messages": MESSAGES[0], "prompt": "x", "input": "x", "content": "x"}
USUAL |= {"query": "x", "documents": ["x"], "input_prefix": "x", "input_suffix": "x"}
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**70, 0.5, 1e38, 1e300, "", "x", "auto", "required", "json_object"]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "function", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), VALUES | st.sampled_from(MESSAGES), max_size=6)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackgroundMock]:
    everything: dict[str, Any] = {
        "embeddings": True,
        "reranking": True,
        "infill": True,
        "context": 512,
        "unified": True,
    }
    path = str(tmp_path_factory.mktemp("slots"))
    with MockLlamaServer(slot_save_path=path, **everything) as running:
        yield running


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(path=st.sampled_from(ENDPOINTS), body=BODIES)
def test_any_body_is_answered(
    mock: BackgroundMock, loop: asyncio.Runner, caplog: pytest.LogCaptureFixture, path: str, body: dict[str, Any]
) -> None:
    answer: RawAnswer = loop.run(ask(mock.url, "POST", path, USUAL | body))
    assert answer.status in (200, 400, 500, 501), answer.body
    assert answer.complete
    if answer.header("Content-Type") != "text/event-stream":
        assert json.loads(answer.body) is not None
    assert caplog.records == []
