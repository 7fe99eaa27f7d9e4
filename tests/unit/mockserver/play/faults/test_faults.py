"""Faults: what each looks like on the wire."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode, read_answer, read_head
from tests.unit.mockserver.play.faults.faulty_answers import CHAT, PLAIN, STREAM, bytes_of, chat, data_of


async def test_an_answer_to_head_has_no_body_however_it_is_broken() -> None:
    async with MockLlamaServer() as mock:
        for line in ("gzip", "cut after_bytes=3", "trickle bytes_per_second=9", "content-length", "pings"):
            mock.faults.add(line, times=1)
            reader, writer = await connect(mock.url)
            writer.write(encode("HEAD", "/v1/models", {"Connection": "close"}))
            assert (await reader.read(-1)).partition(b"\r\n\r\n")[2] == b""
            writer.close()


async def broken(line: str, body: Any = STREAM, path: str = CHAT, **options: Any) -> tuple[bytes, bytes]:
    async with MockLlamaServer(faults=[line], **options) as mock:
        return await bytes_of(mock, body, path)


async def test_refuse_closes_without_a_byte() -> None:
    assert await broken("refuse") == (b"", b"")


async def test_refuse_with_reset_resets() -> None:
    with pytest.raises(ConnectionResetError):
        await broken("refuse reset=true")


async def test_hang_sends_no_byte_until_its_time_is_over() -> None:
    async with MockLlamaServer(clock="virtual", faults=["hang seconds=30 times=1"]) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, json.dumps(PLAIN).encode()))
        await mock.wait_for_requests(1)
        await mock.advance(29)
        assert mock.requests[0].status is None
        await mock.advance(1)
        assert (await read_answer(reader)).status == 200
        writer.close()


async def test_hang_without_end_lasts_until_the_client_leaves() -> None:
    async with MockLlamaServer(faults=["hang"]) as mock:
        _, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, b"{}"))
        await mock.wait_for_requests(1)
        writer.transport.abort()
        [exchange] = await mock.wait_for_requests(1, ended="aborted")
        assert (exchange.status, exchange.bytes_sent, exchange.fault) == (None, 0, "hang")


async def test_a_cut_in_the_head_leaves_half_a_head() -> None:
    head, rest = await broken("cut at=head")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type" not in head
    assert rest == b""


@pytest.mark.parametrize("body", [PLAIN, STREAM])
async def test_a_cut_after_bytes_counts_those_of_the_body(body: Any) -> None:
    _, rest = await broken("cut after_bytes=25", body)
    assert len(rest if body is PLAIN else data_of(rest)) == 25


async def test_a_cut_after_characters_counts_each_as_one() -> None:
    async with MockLlamaServer(faults=["cut after_characters=100"]) as mock:
        mock.answers.add("ééééééééééééééééééééé")
        _, rest = await bytes_of(mock, PLAIN | {"max_tokens": -1})
        assert len(rest.decode()) == 100 < len(rest)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_cut_after_events_sends_so_many_whole_ones(count: int) -> None:
    head, rest = await broken(f"cut after_events={count}")
    assert b"text/event-stream" in head
    assert data_of(rest).count(b"\n\n") == count
    assert data_of(rest).endswith(b"\n\n") or not count
    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_cut_inside_an_event_sends_half_of_it() -> None:
    data = data_of((await broken("cut at=event after_events=2"))[1])
    assert data.count(b"\n\n") == 2
    assert data.rpartition(b"\n\n")[2].startswith(b"data: {")


async def test_a_cut_inside_a_character_leaves_text_that_is_no_utf8() -> None:
    async with MockLlamaServer(faults=["cut at=character"]) as mock:
        mock.answers.add("Grüße")
        _, rest = await bytes_of(mock, PLAIN)
        assert rest.endswith(b'"content":"Gr\xc3')


@pytest.mark.parametrize("body", [PLAIN, STREAM])
async def test_an_answer_without_such_a_character_gets_half_of_one(body: Any) -> None:
    _, rest = await broken("cut at=character", body)
    assert (rest if body is PLAIN else data_of(rest)).endswith(b"\xc3")


@pytest.mark.parametrize(
    ("path", "last", "missing"),
    [(CHAT, b'"finish_reason":"length"', b"[DONE]"), ("/v1/messages", b"message_delta", b"message_stop")],
)
@pytest.mark.parametrize(("line", "ends"), [("cut at=done", False), ("no-done", True)])
async def test_all_came_but_the_event_that_says_so(
    line: str, ends: bool, path: str, last: bytes, missing: bytes
) -> None:
    _, rest = await broken(line, STREAM, path)
    assert last in rest
    assert missing not in rest
    assert rest.endswith(b"0\r\n\r\n") is ends


async def test_a_cut_with_reset_resets() -> None:
    async with MockLlamaServer(faults=["cut after_events=1 reset=true"], tokens_per_second=50) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", CHAT, {}, json.dumps(STREAM).encode()))
        await read_head(reader)
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        [exchange] = mock.requests
        assert (exchange.ended, exchange.status) == ("cut", 200)
        writer.close()


@pytest.mark.parametrize(
    ("path", "event"),
    [
        (CHAT, b'data: {"error":{"code":500,"message":"out of memory","type":"server_error"}}\n\n'),
        ("/v1/messages", b'event: error\ndata: {"code":500,"message":"out of memory","type":"server_error"}\n\n'),
    ],
)
async def test_an_error_event_ends_a_stream_as_a_whole(path: str, event: bytes) -> None:
    _, rest = await broken('error-event after_events=2 message="out of memory"', STREAM, path)
    assert data_of(rest).endswith(event)
    assert data_of(rest).count(b"\n\n") == 3
    assert rest.endswith(b"0\r\n\r\n")


async def test_trickle_takes_its_time() -> None:
    async with MockLlamaServer(clock="virtual", faults=["trickle bytes_per_second=100"]) as mock:
        asking = asyncio.create_task(ask(mock.url, "GET", "/v1/models"))
        await mock.wait_for_requests(1)
        await mock.advance(2.001)
        assert len(mock.requests[0].answer) == pytest.approx(200, abs=10)
        await mock.advance(60)
        assert (await asking).json()["object"] == "list"


async def test_garbage_is_not_http() -> None:
    reader_sees, rest = await broken("garbage")
    assert not reader_sees.startswith(b"HTTP/")
    assert rest == b""


async def test_garbage_between_events_leaves_the_others_whole() -> None:
    data = data_of((await broken("garbage after_events=1"))[1])
    _, second, third, *_ = data.split(b"\n\n")
    with pytest.raises(UnicodeDecodeError):
        second.decode()
    assert third.startswith(b'data: {"choices"')
    assert data.endswith(b"[DONE]\n\n")


async def test_garbage_comes_once_though_pings_come_between_the_events() -> None:
    options: dict[str, Any] = {"clock": "virtual", "tokens_per_second": 0.1, "sse_ping_interval": 3}
    async with MockLlamaServer(**options, faults=["garbage after_events=3"]) as mock:
        streaming = asyncio.create_task(bytes_of(mock))
        await mock.wait_for_requests(1)
        while not streaming.done():
            await mock.advance(1)
        whole = data_of((await streaming)[1]).split(b"\n\n")
    kinds = ["ping" if part.startswith(b":") else "garbage" if b"garbage" in part else "event" for part in whole]
    assert kinds.count("garbage") == 1
    place = kinds.index("garbage")
    assert (kinds[:place].count("event"), kinds[place + 1]) == (3, "event")
    assert kinds[place - 1] == "ping"


async def test_a_wrong_type_a_wrong_length_and_a_huge_header() -> None:
    assert b"Content-Type: text/html" in (await broken("content-type"))[0]
    assert b"Content-Type: image/png" in (await broken("content-type value=image/png"))[0]
    for by in (7, -7):
        head, rest = await broken(f"content-length by={by}", PLAIN)
        assert f"Content-Length: {len(rest) + by}".encode() in head
    assert len((await broken("huge-header"))[0]) > 64 * 1024


async def test_gzip_is_readable_by_whoever_unzips_it() -> None:
    head, rest = await broken("gzip")
    assert b"Content-Encoding: gzip" in head
    assert gzip.decompress(data_of(rest)).endswith(b"data: [DONE]\n\n")
    assert json.loads(gzip.decompress(data_of((await broken("gzip", PLAIN))[1])))["object"] == "chat.completion"


async def test_pings_come_before_each_event() -> None:
    data = data_of((await broken("pings size=2"))[1])
    assert data.startswith(b":\n\n:\n\ndata:")
    assert data.count(b":\n\n:\n\ndata:") == data.count(b"data:")


async def test_a_redirect_says_where_to() -> None:
    head, _ = await broken("redirect to=http://example.org/x status=308")
    assert head.startswith(b"HTTP/1.1 308 ")
    assert b"Location: http://example.org/x" in head


async def test_any_status_comes_with_llama_servers_body_or_ones_own() -> None:
    async with MockLlamaServer() as mock:
        mock.faults.add("401", times=1)
        mock.faults.add("429 times=1", message="slow down", headers={"Retry-After": "3"})
        mock.faults.add("500", times=1, body="<html>no</html>")
        mock.faults.add("502", times=1, body={"detail": "bad"})
        answers = [await chat(mock) for _ in range(4)]
        assert [answer.status for answer in answers] == [401, 429, 500, 502]
        assert answers[0].json()["error"]["message"] == "Invalid API Key"
        assert answers[1].json()["error"]["message"] == "slow down"
        assert answers[1].header("Retry-After") == "3"
        assert answers[2].body == b"<html>no</html>"
        assert answers[3].json() == {"detail": "bad"}


async def test_a_cut_stream_frees_its_slot() -> None:
    async with MockLlamaServer(slots=1, faults=["cut after_events=1 times=1"]) as mock:
        await bytes_of(mock, STREAM | {"ignore_eos": True, "max_tokens": -1})
        assert (await chat(mock)).status == 200
        assert mock.server_context.pool.busy == 0
