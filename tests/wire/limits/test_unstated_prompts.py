"""A prompt whose size no answer states counts all the same: by its bytes, as those of others that did."""

import json

import pytest

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import breaks_off, chat
from tests.harness.sockets.upstream_visit import Visit
from tests.wire.limits.limited_keys import key_of

LONG = json.dumps({"messages": [{"role": "user", "content": "very " * 400}], "stream": True}).encode()
# Anthropic's, as a llama-server sends it whose first token is the first part of an emoji: without `message_start`.
WITHOUT_START = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens"},'
    b'"usage":{"output_tokens":3}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
STATED = b'{"usage":{"completion_tokens":1,"prompt_tokens":400,"input_tokens":400,"output_tokens":1}}'


def _states(visit: Visit) -> None:
    visit.read_body()
    visit.answer(STATED)


def _states_no_prompt(visit: Visit) -> None:
    visit.read_body()
    visit.begin_stream()
    visit.chunk(WITHOUT_START)
    visit.chunk(b"")


def passes(gateway: GatewayProcess, name: str, path: str) -> bool:
    """Whether a long request does; it is settled then."""
    status = gateway.ask(chat("demo", path=path, key=key_of(name), body=LONG)).status
    gateway.mark_log()
    return status == 200


@pytest.mark.parametrize(
    ("name", "path", "script"),
    [
        ("unstated-cut", "/v1/chat/completions", breaks_off),
        ("unstated-emoji", "/v1/messages", _states_no_prompt),
    ],
)
def test_who_hears_no_size_of_long_prompts_uses_up_a_budget(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream, name: str, path: str, script: object
) -> None:
    assert callable(script)
    with upstream.playing(_states):
        assert passes(limited_gateway, name, path)
    with upstream.playing(script):
        passed = sum(passes(limited_gateway, name, path) for _ in range(8))
    assert 2 <= passed <= 5  # of 400 tokens each, and 2,000 a month


def test_a_prompt_that_nobody_knows_counts_as_what_was_reserved(
    limited_gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    with upstream.playing(breaks_off):
        passed = sum(passes(limited_gateway, "unstated-new", "/v1/completions") for _ in range(8))
    assert passed == 4  # a quarter each
