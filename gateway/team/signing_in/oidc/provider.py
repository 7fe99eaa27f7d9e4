"""The conversation with the provider: its metadata, its keys, and tokens for a code."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote_plus, urlencode

import aiohttp

from gateway.config.sign_in_settings import OpenIdConnect, check_provider_url
from gateway.team.signing_in.oidc.attempt import Attempt
from gateway.team.signing_in.oidc.id_token import Expected, PublicKey, UnknownKeyError, checked_claims, keys_of
from gateway.team.signing_in.oidc.oidc_error import ProviderFails, SignInRefused
from gateway.team.signing_in.oidc.provider_client import client, json_of

_FRESH = 3600.0  # seconds for which what the provider says of itself is kept
_REFETCH_EVERY = 30.0  # seconds between two looks for a key that is not known
_LETS_CHOOSE = {"https://accounts.google.com"}  # an account, which it does not say itself
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself (OpenID Connect Discovery 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    chooses_account: bool
    names_issuer: bool
    takes_secret_in_body: bool


class Vouched(NamedTuple):
    """What the provider says of who has signed in, and the ID token, which names their session there."""

    claims: dict[str, Any]
    id_token: str


class Provider:
    """The provider of the settings, as far as it is known."""

    def __init__(self, settings: OpenIdConnect) -> None:
        self.settings = settings
        self._metadata = _Kept(self._discover)
        self._keys = _Kept(self._fetch_keys)

    async def authorization_url(self, attempt: Attempt, redirect_uri: str, *, anew: bool = False) -> str:
        """Where the browser goes to sign in; `anew`: even who is signed in there is asked who they are.

        Raises ProviderFails.
        """
        metadata = await self._metadata.get()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if anew:
            asked |= {"prompt": "select_account"} if metadata.chooses_account else {"max_age": "0"}
        return _with_query(metadata.authorization_endpoint, asked)

    async def end_session_url(self, id_token: str, back: str) -> str | None:
        """Where the browser goes to sign out there, and comes `back` from (RP-Initiated Logout 1.0 section 2).

        Without an `id_token` the provider asks whoever it is. None where it has no such place. Raises ProviderFails.
        """
        found = (await self._metadata.get()).end_session_endpoint
        if found is None:
            return None
        endpoint = _endpoint({"end_session_endpoint": found}, "end_session_endpoint")
        hint = {"id_token_hint": id_token} if id_token else {}
        return _with_query(endpoint, hint | {"client_id": self.settings.client_id, "post_logout_redirect_uri": back})

    async def vouched(self, attempt: Attempt, answer: Mapping[str, str], redirect_uri: str) -> Vouched:
        """Who has signed in, for the query of the provider's answer. Raises OidcError."""
        metadata = await self._metadata.get()
        code = attempt.code_of(answer, self.settings.issuer, names_issuer=metadata.names_issuer)
        async with client(self.settings.ca_file) as session:
            tokens = await self._tokens(session, metadata, code, attempt.verifier, redirect_uri)
            expected = Expected(self.settings.issuer, self.settings.client_id, attempt.nonce)
            claims = await self._checked(tokens["id_token"], expected)
            return Vouched(await self._with_userinfo(session, metadata, claims, tokens), tokens["id_token"])

    async def _checked(self, text: str, expected: Expected) -> dict[str, Any]:
        try:
            return checked_claims(text, await self._keys.get(), expected)
        except UnknownKeyError:
            pass
        try:
            return checked_claims(text, await self._keys.get_anew(_REFETCH_EVERY), expected)
        except UnknownKeyError:
            raise ProviderFails("its ID token is signed by a key that it does not publish") from None

    async def _tokens(
        self, session: aiohttp.ClientSession, metadata: Metadata, code: str, verifier: str, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        client_id, secret, headers = self.settings.client_id, self.settings.client_secret, {}
        if secret is None or metadata.takes_secret_in_body:
            form |= {"client_id": client_id} | ({"client_secret": secret} if secret is not None else {})
        else:  # RFC 6749 2.3.1: both are form-encoded first
            headers["Authorization"] = aiohttp.encode_basic_auth(quote_plus(client_id), quote_plus(secret))
        asked = session.post(metadata.token_endpoint, data=form, headers=headers, allow_redirects=False)
        status, found = await json_of(asked, "token endpoint")
        if found.get("error") == "invalid_grant":
            sentence = "The sign-in took too long, or its answer was used already. Begin the sign-in again."
            raise SignInRefused(sentence, "the provider takes the code no more (invalid_grant)")
        if found.get("error") in {"invalid_client", "unauthorized_client"}:
            raise ProviderFails("it does not take server.sign_in.oidc.client_id or client_secret")
        if status != 200 or not isinstance(found.get("id_token"), str):
            raise ProviderFails(f"its token endpoint answered {status} without an ID token")
        return found

    async def _with_userinfo(
        self, session: aiohttp.ClientSession, metadata: Metadata, claims: dict[str, Any], tokens: dict[str, Any]
    ) -> dict[str, Any]:
        """With what the userinfo endpoint says beside it: many providers put little into the ID token."""
        url, access = metadata.userinfo_endpoint, tokens.get("access_token")
        if url is None or not isinstance(access, str) or not access.isascii() or not access.isprintable():
            return claims
        asked = session.get(url, headers={"Authorization": f"Bearer {access}"}, allow_redirects=False)
        status, found = await json_of(asked, "userinfo endpoint")
        if status != 200:
            raise ProviderFails(f"its userinfo endpoint answered {status}")
        if found.get("sub") != claims["sub"]:  # Core 5.3.2
            raise SignInRefused("What the provider said of you does not hold.", "the userinfo is of somebody else")
        if "email" in claims:  # which it is that was verified, only the same answer says
            found.pop("email_verified", None)
        return {**found, **claims}

    async def _discover(self) -> Metadata:
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        async with client(self.settings.ca_file) as session:
            status, found = await json_of(session.get(url, allow_redirects=False), "discovery document")
        if status != 200 or found.get("issuer") != self.settings.issuer:
            raise ProviderFails(
                f"its discovery document ({status}) is not of the issuer that server.sign_in.oidc.issuer names"
            )
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return Metadata(
            _endpoint(found, "authorization_endpoint"),
            _endpoint(found, "token_endpoint"),
            _endpoint(found, "jwks_uri"),
            _endpoint(found, "userinfo_endpoint") if "userinfo_endpoint" in found else None,
            found.get("end_session_endpoint"),
            "select_account" in (found.get("prompt_values_supported") or ()) or self.settings.issuer in _LETS_CHOOSE,
            found.get("authorization_response_iss_parameter_supported") is True,
            "client_secret_basic" not in methods and "client_secret_post" in methods,
        )

    async def _fetch_keys(self) -> tuple[PublicKey, ...]:
        metadata = await self._metadata.get()
        async with client(self.settings.ca_file) as session:
            status, found = await json_of(session.get(metadata.jwks_uri, allow_redirects=False), "JWK Set")
        if status != 200:
            raise ProviderFails(f"its JWK Set answered {status}")
        return keys_of(found)


class _Kept(Generic[T]):
    """A value that is fetched when it is needed and old; who asks meanwhile waits for the same answer."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._value: T | None = None
        self._until = 0.0
        self._anew_from = 0.0
        self._running: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The value. Raises what `fetch` raises."""
        if self._value is not None and time.monotonic() < self._until:
            return self._value
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._fetch())
        self._value = await asyncio.shield(self._running)
        self._until = time.monotonic() + _FRESH
        return self._value

    async def get_anew(self, every: float) -> T:
        """The value fetched again, but not twice within `every` seconds."""
        if time.monotonic() >= self._anew_from:
            self._anew_from, self._until = time.monotonic() + every, 0.0
        return await self.get()


def _with_query(endpoint: str, asked: Mapping[str, str]) -> str:
    return endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked)


def _endpoint(found: dict[str, Any], name: str) -> str:
    try:
        return check_provider_url(str(found[name]))
    except (KeyError, ValueError):
        raise ProviderFails(f"its discovery document has no good {name}") from None
