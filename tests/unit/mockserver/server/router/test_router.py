"""A router: models that are loaded when asked for, and make room for each other."""

import asyncio

from tests.harness.sockets.rawhttp import ask, connect, encode, read_head
from tests.unit.mockserver.server.router.routers import CHAT, router, statuses, use


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


async def test_a_model_that_was_loaded_counts_as_used_then() -> None:
    async with router(models_max=2) as mock:
        for model in ("c", "b", "a"):
            await ask(mock.url, "POST", "/models/load", {"model": model})
            while (await statuses(mock))[model] != "loaded":
                pass
        assert await statuses(mock) == {"a": "loaded", "b": "loaded", "c": "unloaded"}


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
        reader, writer = await connect(mock.url)
        writer.write(encode("GET", "/models/sse"))
        await read_head(reader)
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).json() == {"success": True}
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).status == 400
        assert (await ask(mock.url, "POST", "/models/load", {"model": "z"})).status == 404
        while b'"status":"loaded"' not in await reader.readuntil(b"\n\n"):
            pass
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


async def test_a_load_by_hand_needs_a_place_that_is_free_or_idle() -> None:
    async with router(models_max=1) as mock:
        reader, writer = await connect(mock.url)
        body = b'{"model":"a","stream":true,"ignore_eos":true,"messages":[]}'
        writer.write(encode("POST", "/v1/chat/completions", {}, body))
        await read_head(reader)
        refused = (await ask(mock.url, "POST", "/models/load", {"model": "b"})).json()["error"]
        assert (refused["code"], refused["message"]) == (500, "model limit reached, try again later")
        writer.transport.abort()
