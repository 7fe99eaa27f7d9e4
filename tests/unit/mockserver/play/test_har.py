"""The journal as HAR: what browsers and HTTP tools open, without anyone's keys."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from mockserver import MockLlamaServer
from mockserver.core.virtual_clock import START
from tests.harness.sockets.rawhttp import ask

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "stream": True}
_REQUEST = {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"}
_RESPONSE = {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize"}


async def exported(mock: MockLlamaServer) -> list[dict[str, Any]]:
    answer = await ask(mock.control_url, "GET", "/__mock__/requests.har")
    assert answer.json() == json.loads(json.dumps(mock.har()))
    log = answer.json()["log"]
    assert (log["version"], log["creator"]["name"]) == ("1.2", "mock-llama-server")
    entries: list[dict[str, Any]] = log["entries"]
    return entries


async def test_an_exchange_is_exported_with_both_bodies_and_its_times() -> None:
    async with MockLlamaServer(clock="virtual", tokens_per_second=10, ttft=1) as mock:
        answer = ask(mock.url, "POST", f"{CHAT}?x=1", BODY, headers={"Content-Type": "application/json"})
        asking = asyncio.create_task(answer)
        await mock.wait_for_requests(1)
        await mock.advance(5)
        received = await asking
        [entry] = await exported(mock)
        assert entry["request"]["url"] == f"http://localhost{CHAT}?x=1"
        assert entry["request"]["queryString"] == [{"name": "x", "value": "1"}]
        assert json.loads(entry["request"]["postData"]["text"]) == BODY
        assert entry["request"]["postData"]["mimeType"] == "application/json"
        assert entry["response"]["content"]["text"] == received.body.decode()
        assert entry["response"]["content"]["mimeType"] == "text/event-stream"
        assert [(pair["name"], pair["value"]) for pair in entry["response"]["headers"]] == received.headers
        assert entry["timings"] == {"send": 0, "wait": 1000.0, "receive": 300.0}
        assert entry["time"] == sum(entry["timings"].values())
        assert datetime.fromisoformat(entry["startedDateTime"]) == datetime.fromtimestamp(START, UTC)


async def test_every_field_that_har_asks_for_is_there() -> None:
    async with MockLlamaServer() as mock:
        await ask(mock.url, "GET", "/health")
        [entry] = await exported(mock)
        assert entry.keys() >= {"startedDateTime", "time", "request", "response", "cache", "timings"}
        assert entry["request"].keys() >= _REQUEST
        assert entry["response"].keys() >= _RESPONSE
        assert "postData" not in entry["request"]
        assert entry["_ended"] == "finished"


async def test_keys_are_masked_wherever_they_stand() -> None:
    async with MockLlamaServer() as mock:
        secrets = {"Authorization": "Bearer sk-1", "X-Api-Key": "sk-2", "Cookie": "sk-3", "X-Plain": "seen"}
        await ask(mock.url, "GET", "/v1/models?key=sk-4&a=b", headers=secrets)
        text = json.dumps(await exported(mock))
        assert "sk-" not in text
        assert "?key=***&a=b" in text
        assert '"seen"' in text


async def test_an_exchange_that_was_broken_says_how() -> None:
    async with MockLlamaServer(faults=["refuse times=1", "cut after_bytes=10 times=1"]) as mock:
        for _ in range(2):
            try:
                await ask(mock.url, "POST", CHAT, BODY)
            except EOFError:
                continue
        first, second = await exported(mock)
        assert (first["response"]["status"], first["_fault"]) == (0, "refuse")
        assert first["_ended"].startswith("cut by the mock after ")
        assert second["response"]["content"] == {"size": 10, "mimeType": "text/event-stream", "text": 'data: {"ch'}


async def test_the_journal_is_bounded_by_exchanges_and_by_bytes() -> None:
    async with MockLlamaServer(journal_entries=3, journal_body_bytes=50, journal_bytes=120) as mock:
        for _ in range(5):
            await ask(mock.url, "POST", CHAT, BODY | {"stream": False})
        kept = mock.requests
        assert [exchange.id for exchange in kept] == [3, 4, 5]
        sizes = [len(exchange.body) + len(exchange.answer) for exchange in kept]
        assert (sizes[-1], sum(sizes) <= 120) == (100, True)
        assert kept[-1].body_bytes == len(json.dumps(BODY | {"stream": False}))
        assert mock.journal._kept_bytes == sum(sizes)


def test_the_mock_in_a_thread_exports_too() -> None:
    with MockLlamaServer() as mock:
        assert mock.har()["log"]["entries"] == []
