"""Who gets an answer from the control port: programs, under names that no page can have pointed here."""

from collections.abc import AsyncIterator

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, read_head

KEY = "a-key-that-nobody-may-read"


@pytest.fixture
async def mock() -> AsyncIterator[MockLlamaServer]:
    async with MockLlamaServer(host="0.0.0.0", control_names=("mock.internal",)) as mock:
        yield mock


async def status_for(mock: MockLlamaServer, **headers: str) -> int:
    """The status of a request with just these headers, `_` standing for `-`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    reader, writer = await connect(mock.control_url.replace("0.0.0.0", "127.0.0.1"))
    writer.write("\r\n".join(["GET /__mock__/requests HTTP/1.1", *lines, "", ""]).encode())
    try:
        return (await read_head(reader)).status
    finally:
        writer.close()


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9932", "127.0.0.1:9932", "[::1]:9932", "192.168.1.7", "[::1]"]
)
async def test_it_answers_to_localhost_and_to_every_address(mock: MockLlamaServer, host: str) -> None:
    assert await status_for(mock, Host=host) == 200


async def test_it_answers_to_a_name_that_was_given(mock: MockLlamaServer) -> None:
    assert await status_for(mock, Host="Mock.Internal:9932") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9932", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_it_answers_to_no_other_name_whatever_it_listens_on(mock: MockLlamaServer, host: str) -> None:
    """A page's own name can be made to resolve to any address; a page at an address cannot be moved."""
    assert await status_for(mock, Host=host) == 403


async def test_it_answers_to_no_page_of_its_own_address(mock: MockLlamaServer) -> None:
    assert await status_for(mock, Host="127.0.0.1", Origin="http://127.0.0.1") == 403
    assert await status_for(mock, Host="127.0.0.1", Sec_Fetch_Site="same-origin") == 403


SECRETS = {
    "Authorization": f"Bearer {KEY}",
    "X-Api-Key": KEY,
    "Key": KEY,
    "Cookie": f"session={KEY}",
    "X-Goog-Api-Key": KEY,
    "X-Amz-Security-Token": KEY,
}


async def test_the_journal_shows_no_key_and_all_else() -> None:
    async with MockLlamaServer() as mock:
        await ask(mock.url, "GET", f"/v1/models?api_key={KEY}&page=2", headers={**SECRETS, "Idempotency-Key": "7"})
        shown = await ask(mock.control_url, "GET", "/__mock__/requests")
        entry = mock.requests[0]
    assert KEY not in shown.body.decode()
    assert entry.path == "/v1/models?api_key=***&page=2"
    assert {entry.header(name) for name in SECRETS} == {"***"}
    assert entry.header("Idempotency-Key") == "7"


async def test_the_journal_shows_keys_to_whoever_asks_for_them() -> None:
    async with MockLlamaServer(journal_secrets=True) as mock:
        await ask(mock.url, "GET", f"/v1/models?key={KEY}", headers=SECRETS)
        entry = mock.requests[0]
        assert KEY not in str(mock.har())
    assert entry.header("authorization") == f"Bearer {KEY}"
    assert entry.path == f"/v1/models?key={KEY}"
