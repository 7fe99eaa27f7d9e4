"""What is counted of a stream that broke off, in all the shapes of llama-server's streams."""

import json
from typing import Any

import pytest

from gateway.core.answer.counted_usage import with_counted
from gateway.core.answer.excerpt import Excerpt, stream_of
from gateway.core.answer.usage import Usage, read_usage


def data(value: dict[str, Any], event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def chat(**delta: str | None) -> bytes:
    choice = {"finish_reason": None, "index": 0, "delta": delta}
    return data({"choices": [choice], "created": 1, "id": "chatcmpl-1", "object": "chat.completion.chunk"})


def anthropic(kind: str, **fields: Any) -> bytes:
    return data({"type": kind, **fields}, kind)


ROLE = chat(role="assistant", content=None)
USAGE = {"cache_read_input_tokens": 7, "input_tokens": 5, "output_tokens": 0}
START = anthropic("message_start", message={"role": "assistant", "content": [], "usage": USAGE})
BLOCK = anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = anthropic("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"})
CREATED = b"".join(
    data({"type": f"response.{name}"}, f"response.{name}")
    for name in ("created", "in_progress", "output_item.added", "content_part.added")
)
DELTA = data({"type": "response.output_text.delta", "delta": "Hi"}, "response.output_text.delta")


def native(predicted: int) -> bytes:
    return data({"index": 0, "content": "x", "stop": False, "tokens_predicted": predicted, "tokens_evaluated": 12})


def counted(*pieces: bytes) -> Usage | None:
    stream = stream_of(*pieces)
    return with_counted(read_usage(stream.first, stream.last()), stream)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([ROLE + chat(content="a"), chat(content="b"), chat(content="c")], Usage(0, 3, counted=3)),
        ([ROLE + chat(reasoning_content="a"), chat(content="b")], Usage(0, 2, counted=2)),
        ([data({"choices": [{"text": "a", "index": 0}]})] * 4, Usage(0, 4, counted=4)),
        ([START + BLOCK + TEXT, TEXT, TEXT], Usage(12, 3, 7, counted=3)),
        ([CREATED + DELTA, DELTA], Usage(0, 2, counted=2)),
        ([native(1), native(3), native(4)], Usage(12, 4, counted=4)),
        ([ROLE], None),
        ([START + BLOCK], Usage(12, 0, 7)),
        ([], None),
    ],
)
def test_each_event_is_a_token_but_those_before_the_first(pieces: list[bytes], expected: Usage | None) -> None:
    assert counted(*pieces) == expected


def test_a_stream_that_states_its_tokens_is_not_counted() -> None:
    timings = {"cache_n": 1, "prompt_n": 4, "predicted_n": 9}
    last = data({"choices": [{"delta": {"content": "x"}}], "timings": timings})
    assert counted(ROLE + chat(content="a"), last) == Usage(5, 9, 1)


def test_comments_are_no_tokens() -> None:
    assert counted(ROLE + chat(content="a"), b":\n\n", b": ping\n\n", chat(content="b")) == Usage(0, 2, counted=2)


def test_events_are_counted_past_the_first_bytes_that_are_kept() -> None:
    stream = Excerpt()
    stream.has_events = True
    for _ in range(5000):
        stream.add(chat(content="word"))
    assert (stream.events, stream.size) == (5000, 5000 * len(chat(content="word")))
