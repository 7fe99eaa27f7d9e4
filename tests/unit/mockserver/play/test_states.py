"""What a client meets in each state, and that the control port is the way to change it."""

import asyncio
import gc
import http.client
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.core.state import State, StateName
from tests.harness.patience import PATIENCE
from tests.harness.sockets.rawhttp import ask, connect, encode, is_refused, read_answer, read_head

CHAT = {"messages": [{"role": "user", "content": "Say hello."}]}
ONE_OF = "'state' must be one of ready, deploying, paused, restarting, crashed, hung, sleeping, waking;"
ENDLESS = {**CHAT, "stream": True, "ignore_eos": True}


async def control(mock: MockLlamaServer, method: str, path: str, body: Any = None) -> Any:
    answer = await ask(mock.control_url, method, f"/__mock__/{path}", body)
    return answer.status, answer.json() if answer.body else None


async def test_a_ready_mock_answers() -> None:
    async with MockLlamaServer() as mock:
        assert (await ask(mock.url, "GET", "/health")).json() == {"status": "ok"}


async def test_a_deploying_mock_says_so_and_becomes_ready_by_itself() -> None:
    async with MockLlamaServer(state="deploying", load_seconds=0.2) as mock:
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).status == 503
        await mock.wait_for_state("ready")
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).status == 200


async def test_a_deploying_mock_says_so_before_it_asks_for_a_key() -> None:
    """The order of the checks in tools/server/server-http.cpp."""
    async with MockLlamaServer(state="deploying", load_seconds=None, api_keys=["secret"]) as mock:
        loading = await ask(mock.url, "POST", "/v1/chat/completions", CHAT)
        assert (loading.status, loading.json()["error"]["message"]) == (503, "Loading model")
        await mock.set_state("ready")
        refused = await ask(mock.url, "POST", "/v1/chat/completions", CHAT)
        assert (refused.status, refused.json()["error"]["message"]) == (401, "Invalid API Key")


async def test_a_paused_mock_refuses_connections_and_keeps_its_port() -> None:
    async with MockLlamaServer(state="paused") as mock:
        assert await is_refused(mock.url)
        await mock.set_state("ready")
        assert (await ask(mock.url, "GET", "/health")).status == 200
        await mock.set_state("paused")
        assert await is_refused(mock.url)


async def test_a_restart_closes_then_loads_then_is_ready() -> None:
    async with MockLlamaServer() as mock:
        await mock.set_state("restarting", down_seconds=0.1, load_seconds=0.1)
        assert await is_refused(mock.url)
        assert mock.state is State.RESTARTING
        await mock.wait_for_state("ready")
        assert (await ask(mock.url, "GET", "/health")).status == 200


async def test_a_restart_with_up_seconds_repeats() -> None:
    async with MockLlamaServer(state="restarting", down_seconds=0.02, load_seconds=0, up_seconds=0.02) as mock:
        seen = []
        for _ in range(6):
            seen.append(mock.phase.value)
            await mock._context.changed.wait()
        assert seen == ["down", "loading", "up"] * 2
        assert mock.state is State.RESTARTING


@pytest.mark.parametrize(("state", "error"), [("paused", False), ("crashed", True)])
async def test_going_down_cuts_a_stream_without_its_final_chunk(state: StateName, error: bool) -> None:
    async with MockLlamaServer() as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", {}, b'{"stream":true,"ignore_eos":true,"messages":[]}'))
        await read_head(reader)
        await mock.set_state(state)
        was_reset = False
        rest = b""
        try:
            while data := await reader.read(65536):
                rest = (rest + data)[-64:]
        except ConnectionResetError:
            was_reset = True
        assert not rest.endswith(b"0\r\n\r\n")
        assert was_reset is error
        writer.close()
        assert [exchange.ended for exchange in mock.requests] == ["cut"]


async def test_a_client_that_leaves_is_noticed_and_frees_its_slot() -> None:
    async with MockLlamaServer(slots=1, tokens_per_second=20) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", {}, b'{"stream":true,"ignore_eos":true,"messages":[]}'))
        await read_head(reader)
        writer.transport.abort()
        [exchange] = await mock.wait_for_requests(ended="aborted")
        assert exchange.how.startswith("client left after ")
        assert exchange.status == 200
        assert exchange.bytes_sent > 0
        assert (await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"max_tokens": 1})).status == 200


async def test_a_client_that_leaves_the_queue_gives_up_its_place() -> None:
    async with MockLlamaServer(slots=1, leaving="immediate") as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", {}, b'{"stream":true,"ignore_eos":true,"messages":[]}'))
        await read_head(reader)
        _, waiting = await connect(mock.url)
        waiting.write(encode("POST", "/v1/messages", {}, b'{"messages":[]}'))
        await mock.wait_for_requests(path="/v1/messages")
        waiting.transport.abort()
        await mock.wait_for_requests(path="/v1/messages", ended="aborted")
        assert mock.server_context.pool.deferred == 0
        writer.transport.abort()
        assert (await ask(mock.url, "POST", "/v1/messages", {"messages": [], "max_tokens": 1})).status == 200


async def test_a_request_without_a_slot_gets_no_byte_until_one_is_free() -> None:
    async with MockLlamaServer(slots=1) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", {}, b'{"stream":true,"ignore_eos":true,"messages":[]}'))
        await read_head(reader)
        queued, other = await connect(mock.url)
        body = b'{"stream":true,"max_tokens":2,"messages":[]}'
        other.write(encode("POST", "/v1/chat/completions", {}, body))
        await mock.wait_for_requests(2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queued.read(1), 0.05)
        writer.transport.abort()
        answer = await read_answer(queued)
        assert answer.complete
        assert answer.chunks[-1] == b"data: [DONE]\n\n"
        other.close()


async def test_the_state_is_set_and_read_over_the_control_port() -> None:
    async with MockLlamaServer() as mock:
        status, body = await control(mock, "PUT", "state", {"state": "restarting", "down_seconds": None})
        assert (status, body["state"], body["phase"]) == (200, "restarting", "down")
        assert await is_refused(mock.url)
        status, body = await control(mock, "GET", "state")
        assert body["state"] == "restarting"
        assert body["since_seconds"] >= 0
        assert (await control(mock, "PUT", "state", {"state": "ready"}))[0] == 200
        assert (await ask(mock.url, "GET", "/health")).status == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"state": "on fire"},
            f"{ONE_OF} got 'on fire'.",
        ),
        ({}, f"{ONE_OF} got None."),
        ([], "The body must be a JSON object."),
        ({"state": "ready", "speed": 1}, "Unknown field 'speed'"),
        ({"state": "ready", "load_seconds": -1}, "'load_seconds' must be a number of seconds"),
        ({"state": "ready", "load_seconds": "1"}, "'load_seconds' must be a number of seconds"),
    ],
)
async def test_a_bad_state_is_refused_with_a_sentence(body: Any, message: str) -> None:
    async with MockLlamaServer() as mock:
        status, answer = await control(mock, "PUT", "state", body)
        assert status == 400
        assert message in answer["error"]
        assert mock.state is State.READY


async def test_the_control_port_shows_each_exchange_and_waits_for_those_to_come() -> None:
    async with MockLlamaServer() as mock:
        waiting = asyncio.create_task(control(mock, "GET", "requests/wait?status=404&timeout=60"))
        await ask(mock.url, "POST", "/v1/chat/completions", CHAT, headers={"X-Test": "yes"})
        await ask(mock.url, "GET", "/nope")
        status, body = await waiting
        assert status == 200
        assert [exchange["path"] for exchange in body["requests"]] == ["/nope"]
        _, body = await control(mock, "GET", "requests?path=/v1/chat/completions")
        [exchange] = body["requests"]
        assert exchange["method"] == "POST"
        assert ["X-Test", "yes"] in exchange["headers"]
        assert '"Say hello."' in exchange["body"]
        assert (exchange["status"], exchange["ended"], exchange["how"]) == (200, "finished", "finished")
        assert (await control(mock, "DELETE", "requests"))[0] == 204
        assert (await control(mock, "GET", "requests"))[1] == {"requests": []}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("requests?paht=/v1/models", "Unknown field 'paht'; there are ended, method, path, status, after, probes."),
        (
            "requests/wait?eded=aborted",
            "Unknown field 'eded'; there are ended, method, path, status, after, probes, count",
        ),
        ("state/wait?state=ready&time=1", "Unknown field 'time'; there are state, timeout."),
        ("state/wait?state=paused&timeout=nan", "'timeout' must be a number; got 'nan'."),
        ("requests?status=inf", "'status' must be a number; got 'inf'."),
    ],
)
async def test_a_query_with_a_slip_of_the_pen_is_refused(query: str, message: str) -> None:
    async with MockLlamaServer() as mock:
        status, answer = await control(mock, "GET", query)
        assert status == 400
        assert message in answer["error"]


async def test_waiting_in_vain_names_what_was_received() -> None:
    async with MockLlamaServer() as mock:
        await ask(mock.url, "GET", "/health")
        status, body = await control(mock, "GET", "requests/wait?ended=aborted&timeout=0.01")
        assert status == 408
        assert body["error"] == "0 of 1 request came within 0.01 s."
        assert body["received"] == ["GET /health: finished"]
        _, body = await control(mock, "GET", "requests/wait?ended=aborted&timeout=0.01&probes=false")
        assert body["received"] == []


@pytest.mark.parametrize("query", ["ended=maybe", "timeout=soon", "status=x"])
async def test_a_bad_wait_is_refused_with_a_sentence(query: str) -> None:
    async with MockLlamaServer() as mock:
        status, body = await control(mock, "GET", f"requests/wait?{query}")
        assert status == 400
        assert "must be" in body["error"]


def test_a_mock_in_a_thread_serves_code_without_a_loop() -> None:
    with MockLlamaServer(alias="thread") as mock:
        assert asyncio.run(ask(mock.url, "GET", "/v1/models")).json()["data"][0]["id"] == "thread"
        mock.set_state("paused")
        assert mock.state is State.PAUSED
        assert asyncio.run(is_refused(mock.url))
        mock.set_state("deploying", load_seconds=0.01)
        mock.wait_for_state("ready")
        assert [exchange.path for exchange in mock.wait_for_requests(1)] == ["/v1/models"]


async def test_who_waits_for_one_slot_in_particular_holds_up_no_other() -> None:
    async with MockLlamaServer(slots=2) as mock:
        reader, writer = await connect(mock.url)
        writer.write(encode("POST", "/completion", {}, b'{"prompt":"a","stream":true,"ignore_eos":true,"id_slot":0}'))
        await read_head(reader)
        pinned = asyncio.create_task(
            ask(mock.url, "POST", "/completion", {"prompt": "b", "id_slot": 0, "n_predict": 1})
        )
        await mock.wait_for_requests(2)
        other = await ask(mock.url, "POST", "/completion", {"prompt": "c", "n_predict": 1})
        assert other.json()["id_slot"] == 1
        assert not pinned.done()
        writer.transport.abort()
        assert (await pinned).json()["id_slot"] == 0


async def test_a_client_that_leaves_while_written_to_leaves_no_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with MockLlamaServer() as mock:
        for _ in range(5):
            reader, writer = await connect(mock.url)
            body = b'{"stream":true,"ignore_eos":true,"messages":[]}'
            writer.write(encode("POST", "/v1/chat/completions", {}, body))
            await read_head(reader)
            writer.transport.abort()
        await mock.wait_for_requests(5, ended="aborted")
    assert caplog.records == []


def test_a_mock_in_a_thread_ends_with_all_that_it_does(caplog: pytest.LogCaptureFixture) -> None:
    with MockLlamaServer(tokens_per_second=1) as mock:
        connection = http.client.HTTPConnection("127.0.0.1", mock.port, timeout=PATIENCE)
        body = b'{"stream":true,"ignore_eos":true,"messages":[]}'
        connection.request("POST", "/v1/chat/completions", body, {"X-Conversation-Id": "goes on"})
        connection.getresponse()
        connection.close()
        mock.wait_for_requests(1, ended="aborted")
    del mock
    gc.collect()
    assert [record.message for record in caplog.records] == []
