"""The status page as a client reads it, whole and part by part."""

import asyncio
import json

from aiohttp import ClientResponse, ClientSession
from yarl import URL

from tests.harness.pages.status_pages import Gateway
from tests.harness.patience import PATIENCE

PATHS = ("/", "/events", "/static/status.css")


async def ask(client: ClientSession, url: str, **headers: str) -> int:
    """The status of the answer; its body is left unread, an event stream's has no end."""
    async with client.get(URL(url, encoded=True), headers={n.replace("_", "-"): v for n, v in headers.items()}) as got:
        return got.status


async def read_page(client: ClientSession, gateway: Gateway) -> str:
    async with client.get(gateway.url) as response:
        assert response.status == 200
        return await response.text()


class Parts:
    """The parts of the page as `/events` sends them."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def next(self) -> str:
        """The HTML of the next part."""
        while not (line := await self._response.content.readline()).startswith(b"data: "):
            assert line, "the stream ended"
        return str(json.loads(line.removeprefix(b"data: ")))

    async def until(self, words: str) -> str:
        """The first part that holds `words`."""
        async with asyncio.timeout(PATIENCE):
            while words not in (part := await self.next()):
                pass
            return part
