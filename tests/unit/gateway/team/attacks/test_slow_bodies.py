"""Bodies for the pages and the admin API that come late, broken, or once they are asked for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.config.server_settings import ServerTimeouts
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.patience import PATIENCE
from tests.unit.gateway.team.admin_client import a_token

PATHS = ("/sign-in", "/api/admin/v1/accounts")


@pytest_asyncio.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Team]:
    async with team_serving(tmp_path, "acme", timeouts=ServerTimeouts(upload_silence=0.2)) as team:
        yield team


async def begun(team: Team, path: str, *fields: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the head of a request has been sent."""
    host = team.url.partition("//")[2]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    kind = "application/x-www-form-urlencoded" if path == "/sign-in" else "application/json"
    said = (f"Host: {host}", f"Origin: {team.url}", f"Authorization: Bearer {await a_token(team)}")
    head = (f"POST {path} HTTP/1.1", *said, f"Content-Type: {kind}", *fields)
    writer.write("".join(f"{line}\r\n" for line in head).encode() + b"\r\n")
    return reader, writer


async def all_of(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await reader.read()).decode()


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_does_not_come_is_not_waited_for(hasty: Team, path: str) -> None:
    reader, writer = await begun(hasty, path, "Content-Length: 10")
    writer.write(b"{")
    answer = await all_of(reader)
    assert answer.startswith("HTTP/1.1 408 ")
    assert "The request body did not arrive in time." in answer
    writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_is_asked_for_and_a_broken_one_refused(team: Team, path: str) -> None:
    reader, writer = await begun(team, path, "Expect: 100-continue", "Transfer-Encoding: chunked")
    async with asyncio.timeout(PATIENCE):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"no length\r\n")
    assert (await all_of(reader)).startswith("HTTP/1.1 400 ")
    writer.close()
