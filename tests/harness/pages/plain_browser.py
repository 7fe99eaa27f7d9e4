"""The team's pages as a browser without a window asks for them, and what is read in them."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from html import unescape

from aiohttp import ClientResponse, ClientSession, CookieJar
from yarl import URL

from tests.harness.pages.team_pages import COOKIE, Team


@dataclass(frozen=True)
class Answer:
    """What came back, redirects not followed."""

    status: int
    text: str
    location: str


class Browser:
    """Somebody's session; every POST says that it comes from our own page."""

    def __init__(self, client: ClientSession, url: str) -> None:
        self._client = client
        self.url = url

    async def get(self, path: str) -> Answer:
        """Ask for a page."""
        return await self._ask("GET", path, None)

    def raw(self, path: str, **headers: str) -> AbstractAsyncContextManager[ClientResponse]:
        """Ask for a page, for its bytes."""
        return self._client.get(URL(self.url + path, encoded=True), headers=headers, allow_redirects=False)

    async def post(self, path: str, *, site: str = "same-origin", **fields: str) -> Answer:
        """Send a form."""
        return await self._ask("POST", path, fields, **{"Sec-Fetch-Site": site})

    async def _ask(self, method: str, path: str, fields: dict[str, str] | None, **headers: str) -> Answer:
        url = URL(self.url + path, encoded=True)
        async with self._client.request(method, url, data=fields, headers=headers, allow_redirects=False) as got:
            return Answer(got.status, unescape(await got.text()), got.headers.get("Location", ""))


@asynccontextmanager
async def browsing(team: Team, session: str = "") -> AsyncIterator[Browser]:
    """A browser of somebody with this session; of nobody without one."""
    jar = CookieJar(unsafe=True)
    if session:
        jar.update_cookies({COOKIE: session}, URL(team.url))
    async with ClientSession(cookie_jar=jar) as client:
        yield Browser(client, team.url)


@asynccontextmanager
async def following_browser(team: Team, session: str) -> AsyncIterator[ClientSession]:
    """A browser of somebody with this session that follows redirects; all it sends comes from our own page."""
    own = {"Cookie": f"{COOKIE}={session}", "Sec-Fetch-Site": "same-origin"}
    async with ClientSession(team.url, headers=own) as client:
        yield client


async def text_of(answer: ClientResponse, status: int = 200) -> str:
    """The text of an answer, which must have this status."""
    text = await answer.text()
    assert answer.status == status, text
    return text


def version_in(page: str) -> str:
    """The version that the first form of a page is based on."""
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None, page
    return found[1]
