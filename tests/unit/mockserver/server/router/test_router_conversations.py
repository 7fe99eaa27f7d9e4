"""Conversations that go on, or are stopped, while a router loads their model."""

import asyncio
from urllib.parse import quote

import pytest

from mockserver import MockLlamaServer
from mockserver.core.virtual_clock import START
from tests.harness.sockets.rawhttp import ask, connect, encode, read_head
from tests.unit.mockserver.server.router.routers import CHAT, router


async def test_a_stream_of_a_conversation_outlives_its_client() -> None:
    async with MockLlamaServer(tokens_per_second=400) as mock:
        headers = {"X-Conversation-Id": "talk::1"}
        reader, writer = await connect(mock.url)
        body = b'{"stream":true,"messages":[{"role":"user","content":"hi"}]}'
        writer.write(encode("POST", "/v1/chat/completions", headers, body))
        await read_head(reader)
        writer.transport.abort()
        query = f"conv_id={quote('talk::1', safe='')}"
        answer = await ask(mock.url, "GET", f"/v1/stream?{query}&from=0")
        assert answer.body.startswith(b'data: {"choices"')
        assert answer.body.endswith(b"data: [DONE]\n\n")
        [known] = (await ask(mock.url, "POST", "/v1/streams/lookup", {"conversation_ids": ["talk::1", "x"]})).json()
        assert (known["is_done"], known["total_bytes"]) == (True, len(answer.body))
        assert (await ask(mock.url, "DELETE", f"/v1/stream?{query}")).status == 204
        assert (await ask(mock.url, "GET", f"/v1/stream?{query}")).status == 404


STREAM = b'{"model":"a","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
TALK = {"X-Conversation-Id": "talk"}


async def test_a_conversation_goes_on_when_its_client_leaves_during_the_load() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=5, clock="virtual") as mock:
        _, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", TALK, STREAM))
        await mock.wait_for_requests(1)
        early = await ask(mock.url, "GET", "/v1/stream?conv_id=talk")
        assert early.json()["error"]["message"] == "Stream owner model is loading, retry later"
        assert early.status == 503
        writer.transport.abort()
        await mock.wait_for_requests(1, ended="aborted")
        await mock.advance(5)
        answer = await ask(mock.url, "GET", "/v1/stream?conv_id=talk")
        assert answer.status == 200
        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_virtual_clock_dates_streams_and_models_too() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=5, clock="virtual") as mock:
        asking = asyncio.create_task(ask(mock.url, "POST", "/v1/chat/completions", body=STREAM, headers=TALK))
        await mock.wait_for_requests(1)
        await mock.advance(60)
        await asking
        [known] = (await ask(mock.url, "POST", "/v1/streams/lookup", {"conversation_ids": ["talk"]})).json()
        [model] = (await ask(mock.url, "GET", "/models")).json()["data"]
        assert START <= known["started_at"] <= known["completed_at"] <= model["created"] == START + 60
        await mock.advance(301)
        assert (await ask(mock.url, "POST", "/v1/streams/lookup", {"conversation_ids": ["talk"]})).json() == []


async def test_a_conversation_stopped_during_the_load_is_refused_after_it() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=5, clock="virtual") as mock:
        asking = asyncio.create_task(ask(mock.url, "POST", "/v1/chat/completions", body=STREAM, headers=TALK))
        await mock.wait_for_requests(1)
        assert (await ask(mock.url, "DELETE", "/v1/stream?conv_id=talk")).status == 204
        await mock.advance(5)
        refused = (await asking).json()["error"]
        assert refused["message"] == "request cancelled by a stop while the model was loading"
        assert refused["code"] == 400
        assert (await ask(mock.url, "GET", "/v1/stream?conv_id=talk")).status == 404


async def test_a_conversation_with_no_model_leaves_nothing_to_wait_for() -> None:
    async with router() as mock:
        unknown = await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"model": "z"}, headers=TALK)
        assert unknown.status == 400
        assert (await ask(mock.url, "GET", "/v1/stream?conv_id=talk")).status == 404


async def test_a_request_that_goes_on_without_its_client_ends_with_the_mock(caplog: pytest.LogCaptureFixture) -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=60) as mock:
        _, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", TALK, STREAM))
        await mock.wait_for_requests(1)
        writer.transport.abort()
        await mock.wait_for_requests(1, ended="aborted")
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert caplog.records == []
