"""Faults: which request meets which, and what each looks like on the wire."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.core.request_matching import RequestView
from mockserver.core.rule_syntax import BadRule
from mockserver.play.faults import Faults
from mockserver.sandbox.sandbox import Sandbox
from tests.harness.rawhttp import RawAnswer, ask, connect, encode, read_answer, read_head

PLAIN = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 6}
STREAM = {**PLAIN, "stream": True}
CHAT = "/v1/chat/completions"


async def chat(mock: MockLlamaServer, body: Any = PLAIN, **headers: str) -> RawAnswer:
    return await ask(mock.url, "POST", CHAT, body, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def bytes_of(mock: MockLlamaServer, body: Any = STREAM, path: str = CHAT) -> tuple[bytes, bytes]:
    """Head and rest of what comes until the mock closes the connection."""
    reader, writer = await connect(mock.url)
    writer.write(encode("POST", path, {"Connection": "close"}, json.dumps(body).encode()))
    head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    return head, rest


def data_of(rest: bytes) -> bytes:
    """What the chunks of a body hold, as far as they came."""
    data = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        data, rest = data + rest[: int(size or b"0", 16)], rest[int(size or b"0", 16) + 2 :]
    return data


# --- which request meets which


def asked(text: str = "hi", path: str = CHAT, **headers: str) -> RequestView:
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    return RequestView("POST", path, headers, body)


def played(faults: Faults, requests: int = 10) -> str:
    return "".join("x" if faults.choose(asked()) else "." for _ in range(requests))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("503", "xxxxxxxxxx"),
        ("503 times=2", "xx........"),
        ("503 every=5", "....x....x"),
        ("503 every=3 times=2", "..x..x...."),
        ("503 skip=4 times=1", "....x....."),
    ],
)
def test_a_fault_is_met_as_often_as_it_says(line: str, expected: str) -> None:
    faults = Faults()
    faults.add(line)
    assert played(faults) == expected


def test_faults_follow_each_other_in_the_order_in_which_they_were_added() -> None:
    faults = Faults()
    faults.add("503", times=2)
    faults.add("429", times=1)
    met = [fault and fault.status for fault in (faults.choose(asked()) for _ in range(4))]
    assert met == [503, 503, 429, None]


@pytest.mark.parametrize(
    ("when", "is_met"),
    [
        ({"contains": "magic"}, True),
        ({"contains": "Magic"}, False),
        ({"matches": r"mag\w+ word$"}, True),
        ({"body_contains": '"role"'}, True),
        ({"endpoint": CHAT}, True),
        ({"endpoint": "/v1/*"}, True),
        ({"endpoint": "/v1/messages"}, False),
        ({"header": "X-Test"}, True),
        ({"header": "X-Test: 7"}, True),
        ({"header": "X-Test: 8"}, False),
        ({"header": "X-Other"}, False),
        ({"stream": True}, False),
        ({"model": "llama"}, False),
        ({"method": "post", "contains": "word"}, True),
    ],
)
def test_a_fault_is_for_the_requests_that_it_describes(when: dict[str, Any], is_met: bool) -> None:
    faults = Faults()
    faults.add("503", when=when)
    assert (faults.choose(asked("the magic word", **{"X-Test": "7"})) is not None) is is_met


def test_probes_meet_only_faults_that_name_their_endpoint() -> None:
    faults, probe = Faults(), RequestView("GET", "/health", {})
    faults.add("503")
    assert faults.choose(probe) is None
    faults.add("503 when.endpoint=/health")
    assert faults.choose(probe) is not None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("explode", "'explode' is no fault; there are content-length, "),
        ("cut", "'cut' needs one of after_bytes, after_events, after_characters, at."),
        ("cut after_bytes=x", "'after_bytes': Input should be a valid integer"),
        ("cut at=noon", "'at': Input should be 'head', 'event', 'character' or 'done'; got 'noon'."),
        ("cut after_bytes=-1", "'after_bytes' must be 0 or more."),
        ("503 after_bytes=1", "'status' does not take 'after_bytes'."),
        ("503 times=0", "'times' must be more than 0."),
        ("503 when.colour=red", "Unknown field 'when.colour'."),
        ("503 when.matches=[", "when: '[' is not a regular expression"),
        ("503 colour=red", "Unknown field 'colour'."),
        ("503 twice", "'twice' in '503 twice' is not key=value."),
        ('503 message="open', "cannot be read: No closing quotation."),
        ("trickle", "'trickle' needs 'bytes_per_second'."),
        ("200", "'status' must be between 300 and 599."),
    ],
)
def test_a_bad_fault_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(BadRule) as caught:
        Faults().add(line)
    assert sentence in str(caught.value)


async def test_fail_twice_then_succeed() -> None:
    async with MockLlamaServer() as mock:
        mock.faults.add("503", times=2)
        assert [(await chat(mock)).status for _ in range(3)] == [503, 503, 200]
        assert [exchange.fault for exchange in mock.requests] == ["503", "503", None]
        assert "fault 503" in repr(mock.requests[0])


async def test_a_header_breaks_the_requests_of_one_test_and_no_others() -> None:
    async with MockLlamaServer() as mock:
        first = [(await chat(mock, X_Mock_Fault="429 times=2 label=first")).status for _ in range(3)]
        second = [(await chat(mock, X_Mock_Fault="429 times=1 label=second")).status for _ in range(2)]
        assert (first, second, (await chat(mock)).status) == ([429, 429, 200], [429, 200], 200)
        bad = await chat(mock, X_Mock_Fault="explode")
        assert bad.status == 400
        assert "X-Mock-Fault: 'explode' is no fault" in bad.json()["error"]["message"]


async def test_faults_are_armed_listed_and_disarmed_over_the_control_port() -> None:
    async with MockLlamaServer() as mock:
        path = "/__mock__/faults"
        armed = await ask(mock.control_url, "POST", path, {"fault": "cut", "after_events": 3, "when": {"stream": True}})
        line = await ask(mock.control_url, "POST", path, body=b"503 times=2")
        assert (armed.status, line.status) == (201, 201)
        await chat(mock)
        listed = (await ask(mock.control_url, "GET", path)).json()["faults"]
        assert listed == [
            {"id": 1, "fault": "cut", "after_events": 3, "when": {"stream": True}, "seen": 0, "played": 0},
            {"id": 2, "fault": "status", "status": 503, "times": 2, "seen": 1, "played": 1},
        ]
        assert (await ask(mock.control_url, "DELETE", f"{path}/1")).status == 204
        assert (await ask(mock.control_url, "DELETE", f"{path}/1")).status == 404
        assert (await ask(mock.control_url, "DELETE", path)).status == 204
        assert not list(mock.faults)
        bad = await ask(mock.control_url, "POST", path, {"fault": "cut"})
        assert bad.status == 400
        assert bad.json()["error"].startswith("'cut' needs one of")


def test_the_mock_in_a_thread_takes_faults_too() -> None:
    with MockLlamaServer(faults=["503 times=1"]) as mock:
        mock.faults.add("502 times=1")
        statuses = [asyncio.run(ask(mock.url, "POST", CHAT, PLAIN)).status for _ in range(3)]
        assert statuses == [503, 502, 200]


def test_a_deployment_begins_each_test_without_the_script_before(gguf_sandbox: Sandbox) -> None:
    deployment = gguf_sandbox.deployment()
    deployment.mock.faults.add("503")
    deployment.mock.answers.add("Canned.")
    deployment.mock.play([{"at": 0.001, "state": "paused"}])
    gguf_sandbox.reset()
    assert (len(deployment.mock.faults), len(deployment.mock.answers)) == (0, 0)
    assert deployment.mock.state == "ready"


async def test_an_answer_to_head_has_no_body_however_it_is_broken() -> None:
    async with MockLlamaServer() as mock:
        for line in ("gzip", "cut after_bytes=3", "trickle bytes_per_second=9", "content-length", "pings"):
            mock.faults.add(line, times=1)
            reader, writer = await connect(mock.url)
            writer.write(encode("HEAD", "/v1/models", {"Connection": "close"}))
            assert (await reader.read(-1)).partition(b"\r\n\r\n")[2] == b""
            writer.close()


# --- what each looks like on the wire


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
