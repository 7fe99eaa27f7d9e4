"""A router: models that are loaded when asked for, and make room for each other."""

import asyncio
from typing import Any
from urllib.parse import quote

from mockserver.server import MockLlamaServer
from tests.mockserver.rawhttp import ask, connect, encode, read_head

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


def router(**options: Any) -> MockLlamaServer:
    return MockLlamaServer(router=True, router_models=("a", "b", "c"), load_seconds=0.02, **options)


async def statuses(mock: MockLlamaServer) -> dict[str, str]:
    data = (await ask(mock.url, "GET", "/models")).json()["data"]
    return {model["id"]: model["status"]["value"] for model in data}


async def use(mock: MockLlamaServer, model: str) -> Any:
    return (await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"model": model})).json()


async def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    async with router() as mock:
        assert (await ask(mock.url, "GET", "/health")).status == 200
        assert await statuses(mock) == {"a": "unloaded", "b": "unloaded", "c": "unloaded"}
        assert (await use(mock, "b"))["model"] == "b"
        assert await statuses(mock) == {"a": "unloaded", "b": "loaded", "c": "unloaded"}


async def test_the_model_unused_for_longest_makes_room() -> None:
    async with router(models_max=2) as mock:
        for model in ("a", "b", "a", "c"):
            await use(mock, model)
        assert await statuses(mock) == {"a": "loaded", "b": "unloaded", "c": "loaded"}


async def test_a_busy_model_is_waited_for() -> None:
    async with router(models_max=1) as mock:
        reader, writer = await connect(mock.url)
        body = b'{"model":"a","stream":true,"ignore_eos":true,"messages":[]}'
        writer.write(encode("POST", "/v1/chat/completions", {}, body))
        await read_head(reader)
        other = asyncio.create_task(use(mock, "b"))
        await mock.wait_for_requests(2, path="/v1/chat/completions")
        assert (await statuses(mock))["a"] == "loaded"
        writer.transport.abort()
        assert (await other)["model"] == "b"


async def test_models_are_loaded_and_unloaded_by_hand() -> None:
    async with router(models_autoload=False) as mock:
        assert (await use(mock, "a"))["error"]["message"] == "model is not loaded"
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).json() == {"success": True}
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).status == 400
        assert (await ask(mock.url, "POST", "/models/load", {"model": "z"})).status == 404
        reader, writer = await connect(mock.url)
        writer.write(encode("GET", "/models/sse"))
        await read_head(reader)
        assert b'"status":"loaded"' in await reader.readuntil(b"\n\n")
        writer.transport.abort()
        assert (await use(mock, "a"))["model"] == "a"
        assert (await ask(mock.url, "POST", "/models/unload", {"model": "a"})).json() == {"success": True}
        assert (await statuses(mock))["a"] == "unloaded"


async def test_unknown_and_missing_models_are_refused() -> None:
    async with router() as mock:
        assert (await use(mock, "z"))["error"]["message"] == "model 'z' not found"
        missing = (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).json()
        assert missing["error"]["message"] == "model name is missing from the request"
        assert (await ask(mock.url, "GET", "/nope")).status == 404
        assert (await ask(mock.url, "GET", "/props")).json()["role"] == "router"
        assert (await ask(mock.url, "GET", "/props?model=a")).json()["model_alias"] == "a"


async def test_a_stream_with_a_conversation_outlives_its_client_and_is_read_again() -> None:
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
