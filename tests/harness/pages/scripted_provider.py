"""A provider of OpenID Connect whose every word a test can change; and a client that goes the browser's way."""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwk, jwt

CLIENT_ID, CLIENT_SECRET = "gateway", "s3cret/CANARY with a space"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedProvider:
    """It signs everybody in whom `who` describes. `tampered` changes the claims of an ID token before it is signed."""

    def __init__(self) -> None:
        self.who: dict[str, Any] = {"sub": "ada", "email": "ada@example.org", "email_verified": True, "name": "Ada"}
        self.userinfo: dict[str, Any] | None = None
        self.tampered: dict[str, Any] = {}
        self.answered: dict[str, str] = {}  # what the callback's query says beside or instead of what it should
        self.metadata: dict[str, Any] = {}
        self.signs_with: tuple[str, Any] | None = None  # algorithm and key, instead of its own
        self.instead: dict[str, Handler] = {}  # what is answered at a path
        self.takes_codes_again = False
        self.asked: list[str] = []
        self.issuer = ""
        self.keys = [self._new_key()]
        self._codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.keys = [self._new_key()]

    def app(self) -> web.Application:
        """It as an application."""
        app = web.Application()
        for method, path, handler in (
            ("GET", "/.well-known/openid-configuration", self._discovery),
            ("GET", "/jwks", self._jwks),
            ("GET", "/authorize", self._authorize),
            ("POST", "/token", self._token),
            ("GET", "/userinfo", self._userinfo),
        ):
            app.router.add_route(method, path, self._told(path, handler))
        return app

    def _told(self, path: str, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.asked.append(path)
            return await self.instead.get(path, handler)(request)

        return answer

    @staticmethod
    def _new_key() -> jwk.ECKey:
        return jwk.ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"})

    async def _discovery(self, _request: web.Request) -> web.Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }
        if self.userinfo is not None:
            found["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        return web.json_response({**found, **self.metadata})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self.key_set)

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT_ID
        code = secrets.token_hex(8)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.issuer, **self.answered}
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._codes.get(str(form["code"]))
        challenge = _base64url(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        if not self.takes_codes_again:
            del self._codes[str(form["code"])]
        return web.json_response(
            {"access_token": "opaque", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}
        )

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer opaque"
        return web.json_response(self.userinfo)

    @property
    def key_set(self) -> dict[str, Any]:
        """Its public keys, as a JWK Set."""
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def id_token(self, nonce: str) -> str:
        """What it says of `who`, changed as `tampered` says, and signed."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce, **self.who}
        claims = {name: value for name, value in {**claims, **self.tampered}.items() if value is not None}
        algorithm: str
        key: Any
        algorithm, key = self.signs_with or ("ES256", self.keys[0])
        header = {"alg": algorithm, "kid": self.keys[0].kid}
        if algorithm in {"none", "HS256"}:  # by hand: the library refuses to make what an attacker would
            said = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
            return f"{said}." + ("" if key is None else _base64url(hmac.digest(key, said.encode(), "sha256")))
        return jwt.encode(header, claims, key, algorithms=[algorithm])


@asynccontextmanager
async def scripted_provider(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedProvider]:
    """A provider on a port of its own."""
    provider = ScriptedProvider()
    server = TestServer(provider.app(), host="127.0.0.1", scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls)
    provider.issuer = str(server.make_url("")).rstrip("/")
    try:
        yield provider
    finally:
        await server.close()


def oidc_settings(issuer: str, **settings: object) -> dict[str, object]:
    """`server.sign_in` with this provider."""
    return {"oidc": {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **settings}}


@asynccontextmanager
async def browsing(tls: ssl.SSLContext | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps cookies, as a browser does, also those of an address. `tls`: whom it trusts."""
    connector = aiohttp.TCPConnector(ssl=True if tls is None else tls)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield client


async def callback_url(client: aiohttp.ClientSession, gateway: str, query: str = "") -> str:
    """Where the provider sends the browser back to, after somebody has pressed the button and signed in there."""
    async with client.get(f"{gateway}/sign-in/oidc{query}", allow_redirects=False) as begun:
        assert begun.status == 303, await begun.text()
        there = begun.headers["Location"]
    async with client.get(there, allow_redirects=False) as back:
        assert back.status == 302
        return back.headers["Location"]


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
