"""Record and replay: what a client receives from the replayed server is what it received from the recorded one."""

import asyncio
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from mockserver import MockLlamaServer
from mockserver.cli.main import main
from mockserver.core.listening.listener import Listener
from mockserver.core.listening.port import Port
from mockserver.play.recording.recorder import Recorder
from mockserver.play.recording.recording_file import RecordingError, files_of, read
from mockserver.play.recording.replayer import Replayer
from tests.harness.patience import PATIENCE
from tests.harness.sockets.rawhttp import RawAnswer, ask, connect, encode, read_head
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit

KEY = "sk-a-key-that-must-not-be-kept"
PACKED = gzip.compress(b'{"content": "x"}')
CHAT = {"model": "any", "messages": [{"role": "user", "content": "Grüße"}], "max_tokens": 12, "stream": True}


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """What the command serves, in this loop; its URL."""
    door = Listener(app, Port("127.0.0.1", 0))
    await door.open()
    yield door.url
    await door.release()


def recorder(mock: MockLlamaServer, folder: Path) -> AbstractAsyncContextManager[str]:
    return served(Recorder(mock.url, folder).app())


def replayer(folder: Path, speed: float = 0) -> AbstractAsyncContextManager[str]:
    return served(Replayer(folder, speed).app())


@asynccontextmanager
async def started(*words: str) -> AsyncIterator[str]:
    """A command of ours; its URL."""
    command = (sys.executable, "-m", "mockserver", *words, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async for line in process.stdout:
        if b"server is listening on" in line:
            yield line.decode().split()[-1]
            break
    process.terminate()
    assert await process.wait() == 0


def shown(answer: RawAnswer) -> tuple[object, ...]:
    return answer.status_line, answer.headers, answer.chunks, answer.complete


async def _ask_everything(url: str) -> list[RawAnswer]:
    """A stream, a plain answer, a refused key, a path with a query: each twice with a key somewhere."""
    key = {"Authorization": f"Bearer {KEY}"}
    return [
        await ask(url, "POST", "/v1/chat/completions", CHAT, headers=key),
        await ask(url, "POST", "/v1/chat/completions", CHAT | {"stream": False}, headers={"x-api-key": KEY}),
        await ask(url, "POST", "/tokenize", {"content": f"my key is {KEY}"}, headers=key),
        await ask(url, "GET", f"/v1/models?api_key={KEY}", headers={**key, "Cookie": f"session={KEY}; a=b"}),
        await ask(url, "GET", "/v1/models", headers={"Authorization": "Bearer wrong-key"}),
        await ask(url, "GET", "/health"),
        await ask(url, "HEAD", "/health"),
        await ask(url, "POST", "/v1/completions", body=b'{"prompt": "\xff', headers=key),
    ]


@pytest.mark.slow
async def test_what_was_recorded_comes_back_byte_for_byte_and_chunk_for_chunk(tmp_path: Path) -> None:
    async with MockLlamaServer(api_keys=(KEY,), seed=3) as mock:
        async with started("record", "--upstream", mock.url, "--to", str(tmp_path)) as url:
            first = await _ask_everything(url)
        direct = await ask(mock.url, "POST", "/v1/chat/completions", CHAT, headers={"Authorization": f"Bearer {KEY}"})
    assert len(first[0].chunks) == len(direct.chunks) > 5
    assert [name for name, _ in first[0].headers] == [name for name, _ in direct.headers]
    async with started("replay", str(tmp_path), "--speed", "none") as url:
        again = await _ask_everything(url)
    told = [*first]
    told[2].chunks = [chunk.replace(KEY.encode(), b"*" * len(KEY)) for chunk in told[2].chunks]
    assert [shown(one) for one in again] == [shown(one) for one in told]
    assert [one.status for one in again] == [200, 200, 200, 200, 401, 200, 200, 400]


async def test_no_secret_is_in_the_files(tmp_path: Path) -> None:
    async with MockLlamaServer(api_keys=(KEY,)) as mock, recorder(mock, tmp_path) as url:
        await _ask_everything(url)
        await ask(url, "GET", "/health", headers={"key": "other-secret", "Proxy-Authorization": "Basic c2VjcmV0"})
    texts = [path.read_text(encoding="utf-8") for path in files_of(tmp_path)]
    assert len(texts) == 9
    for secret in (KEY, "wrong-key", "other-secret", "c2VjcmV0", "session="):
        assert not [text for text in texts if secret in text]
    kept = json.loads(texts[0])
    assert ["Authorization", "***"] in kept["request"]["headers"]
    assert json.loads(kept["request"]["body_text"]) == CHAT
    assert files_of(tmp_path)[0].name == "0001-POST-v1-chat-completions.json"


@pytest.mark.parametrize("body", [PACKED, b'{"content": "x"}', PACKED[:9]], ids=["whole", "plain", "half"])
async def test_a_compressed_body_goes_up_and_into_the_file_as_it_came(tmp_path: Path, body: bytes) -> None:
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    def unsupported(visit: Visit) -> None:
        visit.read_body()
        visit.answer(b"", "415 Unsupported Media Type")

    with closing(ScriptedUpstream()) as upstream, upstream.playing(unsupported):
        async with served(Recorder(upstream.url, tmp_path).app()) as url:
            first = await ask(url, "POST", "/tokenize", body=body, headers=packed)
    assert upstream.only_request.body == body
    assert upstream.only_request.values("content-encoding") == ["gzip"]
    async with replayer(tmp_path) as url:
        again = await ask(url, "POST", "/tokenize", body=body, headers=packed)
    assert first.status == 415
    assert shown(again) == shown(first)


async def test_a_compressed_body_with_a_key_in_it_is_not_kept(tmp_path: Path) -> None:
    packed = {"Content-Encoding": "gzip", "Authorization": f"Bearer {KEY}"}
    body = gzip.compress(json.dumps({"content": KEY}).encode())
    async with MockLlamaServer() as mock, recorder(mock, tmp_path) as url:
        first = await ask(url, "POST", "/tokenize", body=body, headers=packed)
    (path,) = files_of(tmp_path)
    assert read(path).body == b"*" * len(body)
    async with replayer(tmp_path) as url:
        assert shown(await ask(url, "POST", "/tokenize", body=body, headers=packed)) == shown(first)


async def test_a_stream_that_broke_off_breaks_off_again_at_the_same_byte(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=200, endless=True) as mock, recorder(mock, tmp_path) as url:
        asking = asyncio.create_task(ask(url, "POST", "/v1/chat/completions", CHAT | {"max_tokens": -1}))
        await mock.wait_for_requests(1, status=200)
        await asyncio.sleep(0.1)  # some chunks long; how many does not matter
        await mock.set_state("paused")
        first = await asking
    assert not first.complete
    assert len(first.chunks) > 2
    (path,) = files_of(tmp_path)
    assert read(path).ended == "cut"
    async with replayer(tmp_path) as url:
        again = await ask(url, "POST", "/v1/chat/completions", CHAT | {"max_tokens": -1})
    assert shown(again) == shown(first)


async def test_a_client_that_leaves_is_recorded_as_one_that_left(tmp_path: Path) -> None:
    async with MockLlamaServer(tokens_per_second=50, endless=True) as mock, recorder(mock, tmp_path) as url:
        reader, writer = await connect(url)
        writer.write(encode("POST", "/v1/completions", {}, b'{"prompt": "Once", "stream": true}'))
        await read_head(reader)
        writer.close()
        await mock.wait_for_requests(1, ended="aborted", timeout=PATIENCE)
    (path,) = files_of(tmp_path)
    assert read(path).ended == "left"


async def test_time_passes_as_it_did_or_as_much_faster_as_told(tmp_path: Path) -> None:
    async with MockLlamaServer(ttft=0.3, tokens_per_second=100) as mock, recorder(mock, tmp_path) as url:
        await ask(url, "POST", "/v1/chat/completions", CHAT)
    (path,) = files_of(tmp_path)
    recorded = read(path)
    assert recorded.pieces[0].after_ms >= 300
    assert recorded.ended_after_ms >= recorded.pieces[-1].after_ms >= 380  # the first may come late, the last not early
    took = {}
    for speed in (1.0, 20.0):
        async with replayer(tmp_path, speed) as url:
            began = time.monotonic()
            await ask(url, "POST", "/v1/chat/completions", CHAT)
            took[speed] = (time.monotonic() - began) * 1000
    assert took[1.0] >= recorded.ended_after_ms
    assert recorded.ended_after_ms / 20 <= took[20.0] < took[1.0]


async def test_the_same_question_is_answered_in_the_order_recorded(tmp_path: Path) -> None:
    async with MockLlamaServer(state="deploying", load_seconds=None) as mock, recorder(mock, tmp_path) as url:
        assert (await ask(url, "GET", "/health")).status == 503
        await mock.set_state("ready")
        assert (await ask(url, "GET", "/health")).status == 200
        await mock.set_state("paused")
        refused = await ask(url, "GET", "/health")
        assert refused.status == 502
        assert refused.json()["error"].endswith("; nothing recorded")
    async with replayer(tmp_path) as url:
        assert [(await ask(url, "GET", "/health")).status for _ in range(4)] == [503, 200, 200, 200]


async def test_what_was_never_asked_is_a_404_that_lists_what_was(tmp_path: Path) -> None:
    async with MockLlamaServer() as mock, recorder(mock, tmp_path) as url:
        await ask(url, "GET", "/health")
        await ask(url, "POST", "/tokenize", {"content": "one"})
    async with replayer(tmp_path) as url:
        answer = await ask(url, "POST", "/tokenize", {"content": "two"})
        reordered = await ask(url, "POST", "/tokenize", body=b'{ "content":"one" }')
    assert answer.status == 404
    error = answer.json()["error"]
    assert error["message"] == 'No recording of: POST /tokenize {"content": "two"}'
    assert error["recorded"] == ['POST /tokenize {"content": "one"}', "GET /health"]
    assert reordered.status == 200


async def test_recording_goes_on_after_the_last_file(tmp_path: Path) -> None:
    async with MockLlamaServer() as mock:
        for _ in range(2):
            async with recorder(mock, tmp_path) as url:
                await ask(url, "GET", "/health")
    assert [path.name for path in files_of(tmp_path)] == ["0001-GET-health.json", "0002-GET-health.json"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "0001.json is not a recording"),
        ("{}", "'request' is missing"),
        ("[]", "is not a recording"),
        (None, "no recording in"),
    ],
)
def test_a_folder_that_cannot_be_replayed_is_one_sentence(tmp_path: Path, text: str | None, complaint: str) -> None:
    if text is not None:
        (tmp_path / "0001.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError, match=complaint):
        Replayer(tmp_path)
    run = CliRunner().invoke(main, ["replay", str(tmp_path)])
    assert run.exit_code == 1
    assert len(run.output.splitlines()) == 1


@pytest.mark.parametrize("words", [["record", "--upstream", "here", "--to", "x"], ["replay", ".", "--speed", "-1"]])
def test_what_makes_no_sense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(main, words)
    assert run.exit_code > 0
    assert "Error: " in run.output
    assert not list(tmp_path.iterdir())
