"""Record and replay before a real llama-server, where `make real` has built one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from mockserver.core.listening.listener import Listener
from mockserver.core.listening.port import Port
from mockserver.play.recording.recorder import Recorder
from mockserver.play.recording.recording_file import files_of, read
from mockserver.play.recording.replayer import Replayer
from scripts.drifting.servers import real_command, serving
from tests.harness.patience import PATIENCE
from tests.harness.sockets.rawhttp import RawAnswer, ask

if TYPE_CHECKING:
    from gateway.cli.sandbox.real_server import RealServer

pytestmark = pytest.mark.slow

KEY = "sk-a-key-that-must-not-be-kept"
BEARER = {"Authorization": f"Bearer {KEY}"}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
STREAMED = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
ASKED: tuple[tuple[str, str, Any, dict[str, str]], ...] = (
    ("POST", "/v1/chat/completions", STREAMED, BEARER),
    ("POST", "/v1/chat/completions", CHAT, {"x-api-key": KEY}),
    ("POST", "/v1/messages", STREAMED, BEARER),
    ("POST", "/v1/responses", {"input": "Say hello.", "max_output_tokens": 8, "stream": True}, BEARER),
    ("POST", "/completion", {"prompt": f"My key is {KEY}", "n_predict": 1}, BEARER),
    ("POST", "/v1/chat/completions", STREAMED, {"Authorization": "Bearer wrong-key"}),
    ("GET", f"/v1/models?api_key={KEY}", None, BEARER),
    ("HEAD", "/health", None, {}),
    ("GET", "/nope", None, BEARER),
)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    door = Listener(app, Port("127.0.0.1", 0))
    await door.open()
    yield door.url
    await door.release()


def shown(answer: RawAnswer, *, starred: str = "") -> tuple[object, ...]:
    """All of an answer; with stars in the place of a key."""
    stars = b"*" * len(starred)
    chunks = [chunk.replace(starred.encode(), stars) if starred else chunk for chunk in answer.chunks]
    return answer.status_line, answer.headers, chunks, answer.complete


async def test_a_replay_is_what_the_real_server_sent_without_the_keys(
    real_server: "RealServer", tmp_path: Path
) -> None:
    """Bytes, headers and their order, and the boundaries of chunks, which the recorder leaves as they are."""
    with serving(real_command(real_server, ("--api-key", KEY)), tmp_path / "log") as real:
        async with served(Recorder(real, tmp_path / "kept").app()) as url:
            first = [await ask(url, method, path, body, headers=headers) for method, path, body, headers in ASKED]
        direct = [await ask(real, method, path, body, headers=headers) for method, path, body, headers in ASKED[:4]]
    assert [one.status for one in first] == [200, 200, 200, 200, 200, 401, 200, 200, 404]
    assert [len(one.chunks) for one in first[:4]] == [len(one.chunks) for one in direct]
    assert [[name for name, _ in one.headers] for one in first[:4]] == [
        [name for name, _ in one.headers] for one in direct
    ]
    async with served(Replayer(tmp_path / "kept", 0).app()) as url:
        again = [await ask(url, method, path, body, headers=headers) for method, path, body, headers in ASKED]
    assert [shown(one) for one in again] == [shown(one, starred=KEY) for one in first]
    texts = [path.read_text(encoding="utf-8") for path in files_of(tmp_path / "kept")]
    assert len(texts) == len(ASKED)
    assert not [text for text in texts if KEY in text or "wrong-key" in text]


async def test_pieces_of_a_stream_are_recorded_when_the_real_server_sent_them(
    real_server: "RealServer", tmp_path: Path
) -> None:
    with serving(real_command(real_server, ()), tmp_path / "log") as real:
        async with served(Recorder(real, tmp_path / "kept").app()) as url:
            begun = time.monotonic()
            answer = await ask(url, "POST", "/v1/chat/completions", STREAMED)
            lasted = 1000 * (time.monotonic() - begun)
    (path,) = files_of(tmp_path / "kept")
    times = [piece.after_ms for piece in read(path).pieces]
    assert b"".join(piece.data for piece in read(path).pieces) == answer.body
    assert len(times) == len(answer.chunks)
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] <= lasted


async def test_a_real_server_that_sleeps_is_recorded_asleep_and_awake(
    real_server: "RealServer", tmp_path: Path
) -> None:
    with serving(real_command(real_server, ("--sleep-idle-seconds", "1")), tmp_path / "log") as real:
        async with asyncio.timeout(PATIENCE):
            while not (await ask(real, "GET", "/props")).json()["is_sleeping"]:
                await asyncio.sleep(0.05)
        async with served(Recorder(real, tmp_path / "kept").app()) as url:
            asleep = await ask(url, "GET", "/props")
            awake = [await ask(url, "POST", "/v1/chat/completions", STREAMED), await ask(url, "GET", "/props")]
    assert [asleep.json()["is_sleeping"], awake[1].json()["is_sleeping"]] == [True, False]
    async with served(Replayer(tmp_path / "kept", 0).app()) as url:
        again = [
            await ask(url, "GET", "/props"),
            await ask(url, "POST", "/v1/chat/completions", STREAMED),
            await ask(url, "GET", "/props"),
        ]
    assert [shown(one) for one in again] == [shown(one) for one in (asleep, *awake)]


async def test_a_real_router_is_recorded_while_it_loads_a_model(real_server: "RealServer", tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny.gguf").symlink_to(real_server.model)
    command = [str(real_server.binary), "--models-dir", str(models), "--offline", "-t", "1", "-c", "512"]
    body = STREAMED | {"model": "tiny"}
    with serving(command, tmp_path / "log") as real:
        async with served(Recorder(real, tmp_path / "kept").app()) as url:
            first = [
                await ask(url, "GET", "/models"),
                await ask(url, "POST", "/v1/chat/completions", body),
                await ask(url, "GET", "/models"),
                await ask(url, "POST", "/v1/chat/completions", body | {"model": "no-such-model"}),
            ]
    assert [one.status for one in first[:3]] == [200, 200, 200]
    assert len(first[1].chunks) > 3
    async with served(Replayer(tmp_path / "kept", 0).app()) as url:
        again = [
            await ask(url, "GET", "/models"),
            await ask(url, "POST", "/v1/chat/completions", body),
            await ask(url, "GET", "/models"),
            await ask(url, "POST", "/v1/chat/completions", body | {"model": "no-such-model"}),
        ]
    assert [shown(one) for one in again] == [shown(one) for one in first]
