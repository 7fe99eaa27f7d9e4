"""Requests to the provider: whom they trust, how long they wait, and what is read of an answer."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.team.signing_in.oidc.oidc_error import ProviderFails, ProviderNotTrusted

PATIENCE = 10.0  # seconds for one answer of the provider
_MOST = 1024 * 1024  # bytes of one
_SETTING = "server.sign_in.oidc.ca_file"


@asynccontextmanager
async def client(ca_file: str | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps nothing. It trusts the authorities of `ca_file` as it is now, or else the system's.

    Raises ProviderNotTrusted for a file that cannot be used.
    """
    timeout, no_cookies = aiohttp.ClientTimeout(total=PATIENCE), aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(_trusting, ca_file))
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=no_cookies) as session:
        yield session


async def json_of(asked: Any, what: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer. What it says instead is never repeated: it may be a secret.

    Raises ProviderFails.
    """
    body = bytearray()
    try:
        async with asked as answer:
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _MOST:
                    raise ProviderFails(f"its {what} is too long")
            found = json.loads(body) if body else {}
            return answer.status, found if isinstance(found, dict) else {}
    except aiohttp.ClientConnectorCertificateError as error:
        raise ProviderNotTrusted(_why_not_trusted(error.certificate_error)) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ProviderFails(f"its {what} cannot be reached ({type(error).__name__})") from None
    except (ValueError, RecursionError):
        raise ProviderFails(f"its {what} is no JSON") from None


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """Made anew: aiohttp's own context has no authorities in it (`gateway/cli/serve.py`)."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError, too, is one
        why = "it is not a PEM certificate file" if isinstance(error, ssl.SSLError) else error.strerror
        raise ProviderNotTrusted(f"{_SETTING} cannot be used: {why}") from None


def _why_not_trusted(error: Exception) -> str:
    why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else type(error).__name__
    return f"its certificate is not trusted: {why} (a private authority's PEM file goes into {_SETTING})"
