"""A client's stream that runs until somebody ends it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from gateway.proxy.upstream.connection_pools import POOLS
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import CreatedKey, NewKey
from tests.harness.pages.team_pages import Team
from tests.harness.patience import PATIENCE

T = TypeVar("T")

_ENDLESS = {
    "model": "any",
    "stream": True,
    "ignore_eos": True,
    "max_tokens": 100_000,
    "messages": [{"role": "user", "content": "Hello"}],
}


async def key_for(team: Team, upstream: str) -> CreatedKey:
    """A key of the account acme, which has the deployment demo before `upstream`, and that is served."""
    demo = {"id": "demo", "account": "acme", "upstream": upstream, "status": "ready"}
    await team.do("deployments.create", asked=NewDeployment.model_validate(demo))
    made: CreatedKey = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await team.has_looked()
    return made


async def in_line(team: Team, asked: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A request that has been begun, once it waits for a connection to demo."""
    begun = asyncio.ensure_future(asked)
    async with asyncio.timeout(PATIENCE):
        while team.app[POOLS].known()["demo"].connections["waiting"] == 0:
            await asyncio.sleep(0.01)
    return begun


class Stream:
    """What has come of an answer so far."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer
        self._text = b""
        self._grown = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def more(self) -> None:
        """Wait until more has come."""
        self._grown.clear()
        async with asyncio.timeout(PATIENCE):
            await self._grown.wait()

    async def broken(self) -> str:
        """The last event, once the answer is broken off. Fails for one that ends as if it were whole."""
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ClientError):
                await self._reading
        return self._text.decode().strip().rpartition("\n\n")[2]

    async def stop_reading(self) -> None:
        """Read no further; whether it was broken off is nobody's question any more."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.exception()

    async def _read(self) -> None:
        while data := await self._answer.content.readany():
            self._text += data
            self._grown.set()


@asynccontextmanager
async def streaming(url: str, key: str, **headers: str) -> AsyncIterator[Stream]:
    """An answer of demo that goes on and on, once its first bytes have come."""
    async with ClientSession(timeout=ClientTimeout(PATIENCE)) as client:
        target, sent = f"{url}/api/gguf/demo/v1/chat/completions", {"Authorization": f"Bearer {key}", **headers}
        async with client.post(target, json=_ENDLESS, headers=sent) as answer:
            assert answer.status == 200
            stream = Stream(answer)
            try:
                await stream.more()
                yield stream
            finally:
                await stream.stop_reading()
