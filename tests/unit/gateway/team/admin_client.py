"""A client of the admin API for tests: by an admin token, by a session's cookie, or as nobody."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, DummyCookieJar
from multidict import CIMultiDictProxy

from gateway.team.models.tokens import NewToken
from tests.harness.pages.team_pages import COOKIE, Team

PREFIX = "/api/admin/v1"


@dataclass(frozen=True)
class Reply:
    """An answer, read whole."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def json(self) -> Any:
        """What its JSON says; None if there is no body."""
        return json.loads(self.body) if self.body else None


@dataclass
class AdminClient:
    """Asks as somebody: `headers` say who."""

    session: ClientSession
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: object = None, /, **headers: str) -> Reply:
        """What is answered. `body` is sent as JSON, or as it is if it is bytes; `If_Match` is `If-Match`."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        said = {"Content-Type": "application/json"} if content is not None else {}
        said |= self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if content is None else io.BytesIO(content)
        where = path if not path.startswith("/") else self.url + PREFIX + path
        async with self.session.request(method, where, data=sent, headers=said, allow_redirects=False) as answer:
            return Reply(answer.status, await answer.read(), answer.headers)

    def by(self, **headers: str) -> "AdminClient":
        """The same client as somebody else."""
        return AdminClient(self.session, self.url, {name.replace("_", "-"): text for name, text in headers.items()})

    def by_token(self, text: str) -> "AdminClient":
        """The same client as the holder of a token, or as somebody who takes a key for one."""
        return self.by(Authorization=f"Bearer {text}")

    def by_session(self, text: str) -> "AdminClient":
        """The same client as a browser in which somebody is signed in, on a page of the gateway's own."""
        return self.by(Cookie=f"{COOKIE}={text}", Sec_Fetch_Site="same-origin")


async def a_token(team: Team, *scopes: str) -> str:
    """The text of a new admin token."""
    made = await team.do("tokens.create", asked=NewToken(name="ci", scopes=scopes or ("*",)))
    return str(made.token)


async def a_key(admin: AdminClient) -> str:
    """The path of a new key of acme, which is called laptop."""
    made = await admin.ask("POST", "/keys", {"account": "acme", "name": "laptop"})
    return f"/keys/{made.json['id']}"


@asynccontextmanager
async def nobody(team: Team) -> AsyncIterator[AdminClient]:
    """A client without token and session."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        yield AdminClient(session, team.url)


@asynccontextmanager
async def admin_client(team: Team, *scopes: str) -> AsyncIterator[AdminClient]:
    """A client with an admin token of these scopes; of all, if none are named."""
    async with nobody(team) as client:
        yield client.by_token(await a_token(team, *scopes))
