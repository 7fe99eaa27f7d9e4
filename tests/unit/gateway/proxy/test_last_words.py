"""By what a stream is known to be whole: the last word of its protocol, as a llama-server sends it."""

import pytest

from gateway.core.answer.excerpt import stream_of
from gateway.core.endpoints import ENDPOINTS, LastWord
from gateway.proxy.last_words import is_whole

DELTA = b'data: {"choices":[{"delta":{"content":"data: [DONE]\\n\\n"}}]}\n\n'
ERROR = b'data: {"error":{"code":500,"message":"Compute error.","type":"server_error"}}\n\n'
ANTHROPIC = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ITEM = b'event: response.output_item.done\ndata: {"type":"response.output_item.done","item":{}}\n\n'
COMPLETED = b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed"}}\n\n'
PARTIAL = (
    b'data: {"index":0,"content":"\\"stop\\":true","tokens":[7],"stop":false,"id_slot":-1,"tokens_predicted":1}\n\n'
)
FINAL = (
    b'data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"m","prompt":"\\"stop\\":false"}\n\n'
)
PROXY_ERROR = b"proxy error: Failed to read connection"  # as llama-server's router mode writes it
LONG = b"x" * 5000
NULL = b"data: null\n\n"  # where one of several prompts begins


def of_second(events: bytes) -> bytes:
    """The same events, of a request's second prompt."""
    return events.replace(b'"index":0', b'"index":1')


TWO_BEGUN = PARTIAL + NULL + of_second(PARTIAL)
LONG_COMPLETED = COMPLETED.replace(b"}\n", b',"text":"' + b"x" * 9000 + b'": ' + b"1" * (4096 - 5) + b"}\n")

WHOLE = {
    "chat": (LastWord.DONE, DELTA + b"data: [DONE]\n\n"),
    "chat, CRLF": (LastWord.DONE, DELTA + b"data: [DONE]\r\n\r\n"),
    "chat, CR": (LastWord.DONE, b"data:{}\r\rdata:[DONE]\r\r"),
    "chat, no blank line": (LastWord.DONE, DELTA + b"data: [DONE]"),
    "chat, one line end": (LastWord.DONE, DELTA + b"data: [DONE]\n"),
    "chat, a ping behind it": (LastWord.DONE, DELTA + b"data: [DONE]\n\n:\n\n: still there\n\n"),
    "chat, a server that dies behind it": (LastWord.DONE, DELTA + b"data: [DONE]\n\n" + PROXY_ERROR),
    "chat, an error": (LastWord.DONE, DELTA + ERROR),
    "chat, an error as of old": (LastWord.DONE, DELTA + b'error: {"code":500}\n\n'),
    "messages": (LastWord.MESSAGE_STOP, ANTHROPIC + MESSAGE_STOP),
    "messages, [DONE] too": (LastWord.MESSAGE_STOP, ANTHROPIC + MESSAGE_STOP + b"data: [DONE]\n\n"),
    "messages, an error": (LastWord.MESSAGE_STOP, ANTHROPIC + b'event: error\ndata: {"code":500}\n\n'),
    "responses": (LastWord.RESPONSE_OVER, ITEM + COMPLETED),
    "responses, incomplete": (LastWord.RESPONSE_OVER, ITEM + COMPLETED.replace(b"completed", b"incomplete")),
    "responses, failed": (LastWord.RESPONSE_OVER, ITEM + COMPLETED.replace(b"completed", b"failed")),
    "responses, without names": (LastWord.RESPONSE_OVER, COMPLETED.partition(b"\n")[2]),
    "responses, a long one": (LastWord.RESPONSE_OVER, ITEM + COMPLETED.replace(b"}\n", b',"text":"' + LONG + b'"}\n')),
    "native": (LastWord.STOP, PARTIAL + FINAL),
    "native, chosen fields": (LastWord.STOP, PARTIAL + b'data: {"content":""}\n\n'),
    "native, a long prompt": (LastWord.STOP, PARTIAL + FINAL.replace(b"}", b',"prompt":"' + LONG + b'"}')),
    "native, an error": (LastWord.STOP, PARTIAL + ERROR),
    "native, two prompts in turn": (LastWord.STOP, PARTIAL + FINAL + NULL + of_second(PARTIAL + FINAL)),
    "native, two prompts at a time": (LastWord.STOP, TWO_BEGUN + FINAL + of_second(PARTIAL) + of_second(FINAL)),
    "native, two prompts, one silent": (LastWord.STOP, PARTIAL + NULL + FINAL + of_second(FINAL)),
    "native, two prompts, chosen fields": (LastWord.STOP, TWO_BEGUN + b'data: {"content":""}\n\n' * 2),
    "native, two prompts, an error": (LastWord.STOP, TWO_BEGUN + ERROR),
    "responses, a long one and a ping": (LastWord.RESPONSE_OVER, LONG_COMPLETED + b": ping\n\n:\n\n"),
    "chat, a long error": (LastWord.DONE, DELTA + ERROR.replace(b"error.", LONG)),
    "responses, a long one whose kept end looks like a comment": (LastWord.RESPONSE_OVER, LONG_COMPLETED),
}
BROKEN = {
    "nothing": (LastWord.DONE, b""),
    "only pings": (LastWord.DONE, b":\n\n:\n\n"),
    "chat": (LastWord.DONE, DELTA),
    "chat, the router's words": (LastWord.DONE, DELTA + PROXY_ERROR),
    "chat, a ping behind it": (LastWord.DONE, DELTA + b":\n\n"),
    "chat, within an event": (LastWord.DONE, DELTA + DELTA[:-9]),
    "chat, within a long event": (LastWord.DONE, DELTA + DELTA[:-9] + LONG),
    "chat, spoken by the model": (LastWord.DONE, DELTA.replace(b"\\n\\n", b"")),
    "messages": (LastWord.MESSAGE_STOP, ANTHROPIC),
    "responses": (LastWord.RESPONSE_OVER, ITEM),
    "responses, within a long one": (LastWord.RESPONSE_OVER, ITEM + COMPLETED[:-3] + LONG + PROXY_ERROR),
    "native": (LastWord.STOP, PARTIAL),
    "native, the second prompt": (LastWord.STOP, PARTIAL + FINAL + PARTIAL),
    "native, the router's words": (LastWord.STOP, PARTIAL + PROXY_ERROR),
    "native, two prompts, one of them not over": (LastWord.STOP, TWO_BEGUN + PARTIAL + FINAL),
    "native, two prompts, one of them just begun": (LastWord.STOP, PARTIAL + NULL + FINAL),
    "native, within the second prompt": (LastWord.STOP, PARTIAL + FINAL + of_second(PARTIAL)[:-3]),
    "native, a long partial": (
        LastWord.STOP,
        PARTIAL.replace(b'"id_', b'"completion_probabilities":"' + LONG + b'","id_'),
    ),
    "responses, a long item": (LastWord.RESPONSE_OVER, ITEM.replace(b"{}", b'"' + LONG + b'"')),
    "messages, a long block": (LastWord.MESSAGE_STOP, ANTHROPIC.replace(b"}", b',"text":"' + LONG + b'"}')),
    "chat, no event of its own": (LastWord.DONE, DELTA + LONG + b"data: [DONE]\n\n"),
    "chat, no event of its own nor end": (LastWord.DONE, DELTA + LONG + b"data: [DONE]"),
    "native, before anything": (LastWord.STOP, NULL),
}


@pytest.mark.parametrize(("word", "stream"), WHOLE.values(), ids=WHOLE)
def test_a_stream_with_its_last_word_is_whole(word: LastWord, stream: bytes) -> None:
    assert is_whole(stream_of(stream), word)


@pytest.mark.parametrize(("word", "stream"), BROKEN.values(), ids=BROKEN)
def test_a_stream_without_its_last_word_is_broken(word: LastWord, stream: bytes) -> None:
    assert not is_whole(stream_of(stream), word)


@pytest.mark.slow
@pytest.mark.parametrize(("word", "stream"), [*WHOLE.values(), *BROKEN.values()], ids=[*WHOLE, *BROKEN])
def test_it_does_not_matter_where_a_stream_is_cut_into_pieces(word: LastWord, stream: bytes) -> None:
    is_known = is_whole(stream_of(stream), word)
    kept = len(stream) - 4096
    starts = (
        range(len(stream))
        if kept < 0
        else [*range(300), *range(kept - 40, kept + 40), *range(kept + 4056, kept + 4096)]
    )
    for at in starts:
        assert is_whole(stream_of(stream[:at], stream[at:]), word) == is_known, at
    for size in (1, 2, 7, 100):
        pieces = (stream[at : at + size] for at in range(0, len(stream), size))
        assert is_whole(stream_of(*pieces), word) == is_known, size


@pytest.mark.parametrize(("word", "stream"), BROKEN.values(), ids=BROKEN)
def test_a_broken_stream_is_broken_however_long_it_was_before(word: LastWord, stream: bytes) -> None:
    for size in (*range(3400, 4200, 3), 8192):
        assert not is_whole(stream_of(b":" * (size - 2) + b"\n\n", stream), word), size


# What answers in one piece, whatever is asked. An endpoint that is in neither table may be cut without a word.
NEVER_STREAMED = {
    *("/v1/embeddings", "/v1/rerank", "/v1/reranking", "/embedding", "/embeddings", "/rerank", "/reranking"),
    *("/v1/messages/count_tokens", "/v1/chat/completions/input_tokens", "/v1/responses/input_tokens"),
    *("/v1/models", "/v1/models/{model}", "/props", "/health", "/v1/health"),
    *("/tokenize", "/detokenize", "/apply-template", "/v1/chat/completions/control", "/v1/systemone"),
}


def test_an_endpoint_that_may_stream_names_its_last_word() -> None:
    assert {path for path, endpoint in ENDPOINTS.items() if endpoint.last_word is None} <= NEVER_STREAMED
    assert NEVER_STREAMED.isdisjoint(path for path, endpoint in ENDPOINTS.items() if endpoint.last_word is not None)
