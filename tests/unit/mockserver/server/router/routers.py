"""Mocks that are routers, what they tell of their models, and requests to them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode, read_head

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


def router(**options: Any) -> MockLlamaServer:
    return MockLlamaServer(router=True, router_models=("a", "b", "c"), load_seconds=0.02, **options)


async def statuses(mock: MockLlamaServer) -> dict[str, str]:
    data = (await ask(mock.url, "GET", "/models")).json()["data"]
    return {model["id"]: model["status"]["value"] for model in data}


async def use(mock: MockLlamaServer, model: str) -> Any:
    return (await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"model": model})).json()


@asynccontextmanager
async def listening(mock: MockLlamaServer) -> AsyncIterator[list[Any]]:
    """The events of `/models/sse` as they come."""
    reader, writer = await connect(mock.url)
    writer.write(encode("GET", "/models/sse"))
    await read_head(reader)
    heard = list[Any]()

    async def listen() -> None:
        while True:
            line = (await reader.readuntil(b"\n\n")).partition(b"data: ")[2]
            heard.append(json.loads(line))

    listener = asyncio.create_task(listen())
    await mock.wait_for_requests(1, path="/models/sse")
    yield heard
    listener.cancel()
    writer.transport.abort()


async def listed(mock: MockLlamaServer, query: str = "") -> dict[str, Any]:
    return {model["id"]: model for model in (await ask(mock.url, "GET", f"/models{query}")).json()["data"]}


def written(folder: Path, text: str) -> str:
    path = folder / "models.ini"
    path.write_text(text, encoding="utf-8")
    return str(path)
