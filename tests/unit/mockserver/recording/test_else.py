"""A mock that passes on what no canned answer is for, and answers it from the recording from then on."""

import asyncio
import gzip
from pathlib import Path

import pytest

from mockserver import MockLlamaServer
from mockserver.play.recording.recording_file import files_of
from tests.harness.patience import PATIENCE
from tests.harness.sockets.rawhttp import RawAnswer, ask, connect, encode, read_head

KEY = "sk-a-key-that-must-not-be-kept"
CHAT = {"model": "any", "messages": [{"role": "user", "content": "Grüße"}], "max_tokens": 12}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def before(url: str, folder: Path) -> MockLlamaServer:
    mock = MockLlamaServer(else_url=url, recordings=str(folder), alias="the-mock")
    mock.answers.add("It is sunny.", when={"contains": "weather"})
    return mock


def shown(answer: RawAnswer) -> tuple[object, ...]:
    return answer.status_line, answer.headers, answer.chunks, answer.complete


async def _ask_all(url: str) -> list[RawAnswer]:
    """Plain, streamed, without a body, and an error."""
    key = {"Authorization": f"Bearer {KEY}"}
    return [
        await ask(url, "POST", "/v1/chat/completions", CHAT, headers=key),
        await ask(url, "POST", "/v1/chat/completions", CHAT | {"stream": True}, headers=key),
        await ask(url, "GET", "/v1/models", headers={"x-api-key": KEY}),
        await ask(url, "POST", "/v1/chat/completions", {"messages": 5}, headers=key),
        await ask(url, "POST", "/tokenize", {"content": f"my key is {KEY}"}, headers=key),
    ]


async def test_what_is_missed_is_passed_on_byte_for_byte_and_recorded(folder: Path) -> None:
    async with MockLlamaServer(alias="the-real-one", api_keys=(KEY,)) as real, before(real.url, folder) as mock:
        first = await _ask_all(mock.url)
        assert [request.path for request in real.requests] == [request.path for request in mock.requests]
        assert [request.status for request in mock.requests] == [200, 200, 200, 400, 200]
        assert [bytes(request.answer) for request in mock.requests] == [answer.body for answer in first]
        direct = await ask(real.url, "GET", "/v1/models", headers={"x-api-key": KEY})
    assert len(first[1].chunks) > 5
    assert [name for name, _ in first[2].headers] == [name for name, _ in direct.headers]
    assert first[2].json()["data"][0]["id"] == "the-real-one"
    first[4].chunks = [chunk.replace(KEY.encode(), b"*" * len(KEY)) for chunk in first[4].chunks]
    async with before(NOWHERE, folder) as mock:
        assert [shown(one) for one in await _ask_all(mock.url)] == [shown(one) for one in first]


async def test_no_secret_is_in_the_recording(folder: Path) -> None:
    async with MockLlamaServer(api_keys=(KEY,)) as real, before(real.url, folder) as mock:
        await _ask_all(mock.url)
    texts = [path.read_text(encoding="utf-8") for path in files_of(folder)]
    assert len(texts) == 5
    assert not [text for text in texts if KEY in text]


async def test_canned_answers_go_first_and_the_mock_says_itself_how_it_is(folder: Path) -> None:
    async with MockLlamaServer() as real, before(real.url, folder) as mock:
        weather = {"messages": [{"role": "user", "content": "How is the weather?"}]}
        answer = await ask(mock.url, "POST", "/v1/chat/completions", weather)
        assert answer.json()["choices"][0]["message"]["content"] == "It is sunny."
        await ask(mock.url, "GET", "/health")
        mock.faults.add("503", times=1)
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).status == 503
        assert real.requests == []
    assert files_of(folder) == []


async def test_what_was_recorded_is_asked_only_once(folder: Path) -> None:
    async with MockLlamaServer() as real, before(real.url, folder) as mock:
        answers = [await ask(mock.url, "POST", "/v1/chat/completions", CHAT) for _ in range(3)]
        assert len(real.requests) == 1
    assert len({answer.body for answer in answers}) == 1


async def test_what_tells_of_a_moment_or_of_a_key_is_not_recorded(folder: Path) -> None:
    async with MockLlamaServer(api_keys=(KEY,)) as real, before(real.url, folder) as mock:
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).status == 401
        await real.set_state("deploying", load_seconds=None)
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).status == 503
    assert files_of(folder) == []


async def test_a_client_that_leaves_ends_the_exchange_behind_it(folder: Path) -> None:
    async with MockLlamaServer(tokens_per_second=50, endless=True) as real, before(real.url, folder) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/completions", {}, b'{"prompt": "Once", "stream": true}'))
        await read_head(reader)
        await mock.wait_for_requests(1, ended="running", status=200, timeout=PATIENCE)
        writer.close()
        await real.wait_for_requests(1, ended="aborted", timeout=PATIENCE)
        await mock.wait_for_requests(1, ended="aborted", timeout=PATIENCE)
    assert files_of(folder) == []


async def test_what_can_be_had_from_nowhere_is_a_502_that_lists_what_is_recorded(folder: Path) -> None:
    async with MockLlamaServer() as real, before(real.url, folder) as mock:
        await ask(mock.url, "POST", "/tokenize", {"content": "one"})
    async with before(NOWHERE, folder) as mock:
        answer = await ask(mock.url, "POST", "/tokenize", {"content": "two"})
    assert answer.status == 502
    error = answer.json()["error"]
    assert error["message"].startswith("No recording, and 127.0.0.1:9 cannot be reached")
    assert "nothing recorded" not in error["message"]
    assert error["recorded"] == ['POST /tokenize {"content": "one"}']


class Compressing:
    """A server that answers everything with the same compressed chunks, and keeps what it was sent."""

    def __init__(self, text: bytes) -> None:
        packed = gzip.compress(text, mtime=0)
        self.chunks = [packed[:10], packed[10:]]
        self.received = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.received = head + await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in [*self.chunks, b""]:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(("text", "kept"), [(b"Hello.", 1), (f"Your key is {KEY}.".encode(), 0)])
async def test_compressed_bodies_are_passed_on_as_they_came(folder: Path, text: bytes, kept: int) -> None:
    """One in which there is a key cannot be starred, and is not kept."""
    compressing = Compressing(text)
    server = await asyncio.start_server(compressing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    packed = gzip.compress(b'{"prompt": "Hi"}', mtime=0)
    headers = {"Content-Encoding": "gzip", "Authorization": f"Bearer {KEY}"}
    async with server, before(url, folder) as mock:
        answer = await ask(mock.url, "POST", "/completion", body=packed, headers=headers)
    assert compressing.received.endswith(packed)
    assert b"\r\nContent-Encoding: gzip\r\n" in compressing.received
    assert f"\r\nAuthorization: Bearer {KEY}\r\n".encode() in compressing.received
    assert answer.chunks == compressing.chunks
    assert answer.header("Content-Encoding") == "gzip"
    assert len(files_of(folder)) == kept


async def test_a_body_that_is_held_back_is_asked_for_and_passed_on(folder: Path) -> None:
    async with MockLlamaServer() as real, before(real.url, folder) as mock:
        reader, writer = await connect(mock.url)
        body = b'{"content": "one"}'
        writer.write(encode("POST", "/tokenize", {"Expect": "100-continue"}, body).removesuffix(body))
        assert (await read_head(reader)).status == 100
        writer.write(body)
        assert (await read_head(reader)).status == 200
        assert [request.body for request in real.requests] == [request.body for request in mock.requests] == [body]
        writer.close()


async def test_a_path_that_the_mock_has_not_is_passed_on_as_well(folder: Path) -> None:
    async with MockLlamaServer() as real, before(real.url, folder) as mock:
        assert (await ask(mock.url, "GET", "/of/another/server")).status == 404
        assert [request.path for request in real.requests] == ["/of/another/server"]
