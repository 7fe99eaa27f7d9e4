"""The operations of a gateway that runs elsewhere: its admin API, over HTTP, as the holder of an admin token."""

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from pydantic import BaseModel, SecretStr, ValidationError
from yarl import URL

from gateway.cli.client.team_client import TeamClient
from gateway.core import errors
from gateway.core.http.headers import REQUEST_ID
from gateway.registry.base import ChangeError
from gateway.team.models.accounts import NewAccount
from gateway.team.operation_error import Conflict, Denied, FieldError, Invalid, NotFound, OperationError, Stale
from gateway.team.operations.operation import Operation
from gateway.team.operations.table import OPERATIONS

PREFIX = "/api/admin/v1"
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)  # seconds
_PLACE = re.compile(r"\{[a-z]+\}")
_ERRORS: Mapping[int, type[OperationError]] = {403: Denied, 404: NotFound, 409: Conflict, 412: Stale}
_OF_PROXIES = {502, 503, 504}  # what they say while nothing answers behind them
_NO_SUCH_PATH = errors.NO_SUCH_PATH.message.partition("{")[0]


class RemoteClient(TeamClient):
    """Asks the gateway at `url` in the name of the session's token."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def perform(
        self,
        name: str,
        *ids: str,
        request: BaseModel | None = None,
        expected_version: int | None = None,
        make_account: str | None = None,
    ) -> Any:
        """See `TeamClient`. An account that was made for what then fails is removed again."""
        if make_account is None or not await self._make(make_account):
            return await self._ask(OPERATIONS[name], ids, request, expected_version)
        try:
            return await self._ask(OPERATIONS[name], ids, request, expected_version)
        except OperationError:
            await self._ask(OPERATIONS["accounts.remove"], (make_account,))
            raise

    async def _make(self, account: str) -> bool:
        """Make an account; whether there was none."""
        try:
            await self._ask(OPERATIONS["accounts.create"], request=NewAccount(id=account))
        except Conflict:
            return False
        return True

    async def _ask(
        self,
        operation: Operation,
        ids: tuple[str, ...] = (),
        request: BaseModel | None = None,
        expected_version: int | None = None,
    ) -> Any:
        said = _said(request)
        headers: dict[str, str] = {} if expected_version is None else {hdrs.IF_MATCH: f'"{expected_version}"'}
        if not operation.is_read and said is not None:
            headers[hdrs.CONTENT_TYPE] = "application/json"
        status, answered, body = await self._exchange(
            operation.method,
            self._place(operation, ids).with_query(_query(said) if operation.is_read else {}),
            headers,
            json.dumps(said).encode() if said is not None and not operation.is_read else None,
        )
        if 300 <= status < 400:
            location = answered.get(hdrs.LOCATION, "elsewhere")
            raise ChangeError(f"{self._url} redirects to {location}: name the gateway's own URL.")
        if status >= 400:
            raise self._error(status, body) if REQUEST_ID in answered else self._stranger(status)
        try:
            return operation.result.model_validate_json(body or b"{}")
        except ValidationError as error:
            raise self._stranger(status) from error

    async def _exchange(
        self, method: str, url: URL, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Returns status, headers and body. Raises ChangeError where there is none of them."""
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False
            ) as response:
                return response.status, response.headers, await response.read()
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
            raise ChangeError(
                f"The certificate of {self._url} is not one to trust: {why}. "
                "The variable SSL_CERT_FILE names authorities of your own."
            ) from error
        except aiohttp.ClientSSLError as error:
            raise ChangeError(f"What answers at {self._url} does not speak TLS as it should.") from error
        except aiohttp.ClientOSError as error:
            raise ChangeError(f"No gateway answers at {self._url} ({_reason(error)}).") from error
        except TimeoutError as error:
            raise ChangeError(f"No gateway answers at {self._url} (no answer in time).") from error
        except aiohttp.ClientError as error:
            raise ChangeError(f"What answers at {self._url} is not a gateway.") from error

    def _place(self, operation: Operation, ids: tuple[str, ...]) -> URL:
        if any(one in {"", ".", ".."} for one in ids):  # no id, and a proxy might take it for a part of the path
            raise NotFound("There is nothing of this id.")
        parts = iter(ids)
        path = _PLACE.sub(lambda _: quote(next(parts), safe="", errors="surrogateescape"), operation.path)
        return URL(self._url + PREFIX + path, encoded=True)

    def _error(self, status: int, body: bytes) -> ChangeError:
        """What a gateway says: the very error that the operation raised there."""
        try:
            said = json.loads(body)
            message = str(said["error"]["message"])
            fields = [FieldError(str(one["field"]), str(one["message"])) for one in said.get("errors", [])]
        except (ValueError, TypeError, KeyError, RecursionError):
            return self._stranger(status)
        if status == 404 and message.startswith(_NO_SUCH_PATH):
            return ChangeError(
                f"{self._url} serves no admin API; the gateway's own URL, or that of its server.admin, does."
            )
        if status == 401:
            return ChangeError("The gateway does not take this admin token: it is unknown, expired or revoked.")
        if status == 422:
            return Invalid(message, fields)
        return _ERRORS.get(status, OperationError)(message)

    def _stranger(self, status: int) -> ChangeError:
        if status in _OF_PROXIES:
            return ChangeError(f"No gateway answers at {self._url}: a server in front of it says so ({status}).")
        return ChangeError(f"What answers at {self._url} (with {status}) is not a gateway's admin API.")


@asynccontextmanager
async def open_gateway(url: str, token: str) -> AsyncIterator[RemoteClient]:
    """The gateway at `url`, asked with an admin token. Redirects are not followed: the token is for this place only."""
    headers = {hdrs.AUTHORIZATION: f"Bearer {token}"}
    async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
        yield RemoteClient(url, session)


def _said(request: BaseModel | None) -> dict[str, Any] | None:
    """What a request says, as JSON has it; what it does not name is left out."""
    if request is None:
        return None
    said: dict[str, Any] = json.loads(json.dumps(request.model_dump(exclude_unset=True), default=_plain))
    return said


def _plain(value: object) -> object:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case datetime():
            return value.isoformat()
        case timedelta():
            return int(value.total_seconds())
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _query(said: dict[str, Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (said or {}).items() if value is not None}


def _reason(error: aiohttp.ClientOSError) -> str:
    known = getattr(error, "os_error", error)
    if isinstance(known.errno, int) and known.errno > 0:
        return os.strerror(known.errno).lower()
    return (known.strerror or "no connection").lower()  # of a name, resolvers say it in their own words
