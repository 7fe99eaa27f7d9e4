"""A router: models that are loaded when asked for, and make room for each other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mockserver import MockLlamaServer
from tests.harness.rawhttp import ask, connect, encode, read_head

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


def router(**options: Any) -> MockLlamaServer:
    return MockLlamaServer(router=True, router_models=("a", "b", "c"), load_seconds=0.02, **options)


async def statuses(mock: MockLlamaServer) -> dict[str, str]:
    data = (await ask(mock.url, "GET", "/models")).json()["data"]
    return {model["id"]: model["status"]["value"] for model in data}


async def use(mock: MockLlamaServer, model: str) -> Any:
    return (await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"model": model})).json()


async def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    async with router() as mock:
        assert (await ask(mock.url, "GET", "/health")).status == 200
        assert await statuses(mock) == {"a": "unloaded", "b": "unloaded", "c": "unloaded"}
        assert (await use(mock, "b"))["model"] == "b"
        assert await statuses(mock) == {"a": "unloaded", "b": "loaded", "c": "unloaded"}


async def test_the_model_unused_for_longest_makes_room() -> None:
    async with router(models_max=2) as mock:
        for model in ("a", "b", "a", "c"):
            await use(mock, model)
        assert await statuses(mock) == {"a": "loaded", "b": "unloaded", "c": "loaded"}


async def test_a_model_that_was_loaded_counts_as_used_then() -> None:
    async with router(models_max=2) as mock:
        for model in ("c", "b", "a"):
            await ask(mock.url, "POST", "/models/load", {"model": model})
            while (await statuses(mock))[model] != "loaded":
                pass
        assert await statuses(mock) == {"a": "loaded", "b": "loaded", "c": "unloaded"}


async def test_a_busy_model_is_waited_for() -> None:
    async with router(models_max=1) as mock:
        reader, writer = await connect(mock.url)
        body = b'{"model":"a","stream":true,"ignore_eos":true,"messages":[]}'
        writer.write(encode("POST", "/v1/chat/completions", {}, body))
        await read_head(reader)
        other = asyncio.create_task(use(mock, "b"))
        await mock.wait_for_requests(2, path="/v1/chat/completions")
        assert (await statuses(mock))["a"] == "loaded"
        writer.transport.abort()
        assert (await other)["model"] == "b"


async def test_models_are_loaded_and_unloaded_by_hand() -> None:
    async with router(models_autoload=False) as mock:
        assert (await use(mock, "a"))["error"]["message"] == "model is not loaded"
        reader, writer = await connect(mock.url)
        writer.write(encode("GET", "/models/sse"))
        await read_head(reader)
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).json() == {"success": True}
        assert (await ask(mock.url, "POST", "/models/load", {"model": "a"})).status == 400
        assert (await ask(mock.url, "POST", "/models/load", {"model": "z"})).status == 404
        while b'"status":"loaded"' not in await reader.readuntil(b"\n\n"):
            pass
        writer.transport.abort()
        assert (await use(mock, "a"))["model"] == "a"
        assert (await ask(mock.url, "POST", "/models/unload", {"model": "a"})).json() == {"success": True}
        assert (await statuses(mock))["a"] == "unloaded"


async def test_unknown_and_missing_models_are_refused() -> None:
    async with router() as mock:
        assert (await use(mock, "z"))["error"]["message"] == "model 'z' not found"
        missing = (await ask(mock.url, "POST", "/v1/chat/completions", CHAT)).json()
        assert missing["error"]["message"] == "model name is missing from the request"
        assert (await ask(mock.url, "GET", "/nope")).status == 404
        assert (await ask(mock.url, "GET", "/props")).json()["role"] == "router"
        assert (await ask(mock.url, "GET", "/props?model=a")).json()["model_alias"] == "a"


async def test_a_stream_of_a_conversation_outlives_its_client() -> None:
    async with MockLlamaServer(tokens_per_second=400) as mock:
        headers = {"X-Conversation-Id": "talk::1"}
        reader, writer = await connect(mock.url)
        body = b'{"stream":true,"messages":[{"role":"user","content":"hi"}]}'
        writer.write(encode("POST", "/v1/chat/completions", headers, body))
        await read_head(reader)
        writer.transport.abort()
        query = f"conv_id={quote('talk::1', safe='')}"
        answer = await ask(mock.url, "GET", f"/v1/stream?{query}&from=0")
        assert answer.body.startswith(b'data: {"choices"')
        assert answer.body.endswith(b"data: [DONE]\n\n")
        [known] = (await ask(mock.url, "POST", "/v1/streams/lookup", {"conversation_ids": ["talk::1", "x"]})).json()
        assert (known["is_done"], known["total_bytes"]) == (True, len(answer.body))
        assert (await ask(mock.url, "DELETE", f"/v1/stream?{query}")).status == 204
        assert (await ask(mock.url, "GET", f"/v1/stream?{query}")).status == 404


PRESETS = """
version = 1
[*]
temp = 0.5 ; for all

[small]
hf-repo = org/story
c = 128
alias = tiny, mini
tags = cpu
[Large:q4_k_m]
LLAMA_ARG_CTX_SIZE = 8192 # a comment
load-on-startup = true
"""


@asynccontextmanager
async def listening(mock: MockLlamaServer) -> AsyncIterator[list[Any]]:
    """The events of `/models/sse` as they come."""
    reader, writer = await connect(mock.url)
    writer.write(encode("GET", "/models/sse"))
    await read_head(reader)
    heard = list[Any]()

    async def listen() -> None:
        while True:
            line = (await reader.readuntil(b"\n\n")).partition(b"data: ")[2]
            heard.append(json.loads(line))

    listener = asyncio.create_task(listen())
    await mock.wait_for_requests(1, path="/models/sse")
    yield heard
    listener.cancel()
    writer.transport.abort()


async def listed(mock: MockLlamaServer, query: str = "") -> dict[str, Any]:
    return {model["id"]: model for model in (await ask(mock.url, "GET", f"/models{query}")).json()["data"]}


def written(folder: Path, text: str) -> str:
    path = folder / "models.ini"
    path.write_text(text, encoding="utf-8")
    return str(path)


async def test_the_presets_of_a_file_are_models(tmp_path: Path) -> None:
    async with router(models_preset=written(tmp_path, PRESETS)) as mock:
        models = await listed(mock)
        assert sorted(models) == ["Large:Q4_K_M", "a", "b", "c", "small"]
        small = models["small"]
        assert (small["aliases"], small["tags"], small["source"]) == (["mini", "tiny"], ["cpu"], "preset")
        assert small["status"]["preset"] == "[small]\ntemp = 0.5\nhf-repo = org/story\nctx-size = 128\n\n"
        assert small["status"]["args"][-6:] == ["--temp", "0.5", "--hf-repo", "org/story", "--ctx-size", "128"]
        assert not small["can_remove"]
        props = (await ask(mock.url, "GET", "/props?model=tiny")).json()
        assert props["default_generation_settings"]["n_ctx"] == 128
        assert props["default_generation_settings"]["params"]["temperature"] == 0.5
        assert props["model_alias"] == "small"
        assert models["Large:Q4_K_M"]["status"]["value"] in ("loading", "loaded")  # from the start


async def test_a_reload_follows_the_file_and_unloads_what_was_changed(tmp_path: Path) -> None:
    async with router(models_preset=written(tmp_path, "[x]\nc = 64\n[y]\nc = 64\n[z]\nc = 64\n")) as mock:
        for model in ("x", "y", "z"):
            await use(mock, model)
        written(tmp_path, "[x]\nc = 64\n[y]\nc = 128\n[new]\n")
        assert (await listed(mock))["y"]["meta"]["n_ctx"] == 64
        async with listening(mock) as heard:
            models = await listed(mock, "?reload=1")
            assert {name: model["status"]["value"] for name, model in models.items()} == {
                **dict.fromkeys(("a", "b", "c", "new", "y"), "unloaded"),
                "x": "loaded",
            }
            assert heard[-1] == {"model": "*", "event": "models_reload"}
        written(tmp_path, "what?")
        refused = await ask(mock.url, "GET", "/models?reload=1")
        assert refused.status == 500
        assert "models.ini:1: this is neither [name] nor key = value: 'what?'" in refused.json()["error"]["message"]
        assert "x" in await listed(mock)


async def test_a_preset_hides_the_model_of_the_cache_that_it_uses(tmp_path: Path) -> None:
    cache = ("org/one:Q8_0", "org/two:F32", "org/two:Q8_0")
    text = "[mine]\nhf-repo = org/two\ndedup-cache-models = 1\n"
    async with MockLlamaServer(
        router=True, router_models=cache, models_preset=written(tmp_path, text), load_seconds=0
    ) as mock:
        assert sorted(await listed(mock)) == ["mine", "org/one:Q8_0", "org/two:Q8_0"]
        assert (await use(mock, "org/two:F32"))["model"] == "org/two:F32"


async def test_the_files_of_a_directory_are_models(tmp_path: Path) -> None:
    (tmp_path / "sharded").mkdir()
    for name in (
        "one.gguf",
        "mmproj-one.gguf",
        "notes.txt",
        "sharded/x-00001-of-00002.gguf",
        "sharded/x-00002-of.gguf",
    ):
        (tmp_path / name).touch()
    async with router(models_dir=str(tmp_path)) as mock:
        models = await listed(mock)
        assert {name: model["source"] for name, model in models.items()} == {
            **dict.fromkeys(("a", "b", "c"), "cache"),
            **dict.fromkeys(("one", "sharded"), "models_dir"),
        }
        assert (await ask(mock.url, "GET", "/props?model=sharded")).json()["model_path"].endswith("00001-of-00002.gguf")


async def test_a_load_is_told_as_it_goes_on() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=0.5, clock="virtual") as mock:
        async with listening(mock) as heard:
            await ask(mock.url, "POST", "/models/load", {"model": "a"})
            for _ in range(5):
                await mock.advance(0.1)
            assert (await statuses(mock)) == {"a": "loaded"}
            await ask(mock.url, "POST", "/models/unload", {"model": "a"})
            await ask(mock.url, "GET", "/health")
        assert heard[0] == {"model": "a", "event": "model_status", "data": {"status": "loading"}}
        values = [event["data"]["progress"]["value"] for event in heard[1:-2]]
        assert values == [0.0, 0.4, 0.8, 1.0]
        assert (heard[-2]["event"], heard[-2]["data"]["status"]) == ("status_change", "loaded")
        assert heard[-2]["data"]["info"]["meta"]["n_ctx"] == 4096
        assert heard[-1]["data"] == {"status": "unloaded", "exit_code": 0}


async def test_a_model_that_sleeps_and_wakes_is_told_and_listed_so() -> None:
    options: dict[str, Any] = {"load_seconds": 0, "sleep_idle_seconds": 10, "wake_seconds": 0.4}
    async with MockLlamaServer(router=True, router_models=("a",), clock="virtual", **options) as mock:
        assert (await ask(mock.url, "POST", "/tokenize", {"model": "a", "content": "x"})).status == 200
        async with listening(mock) as heard:
            await mock.advance(10)
            assert await statuses(mock) == {"a": "sleeping"}
            asking = asyncio.create_task(ask(mock.url, "POST", "/tokenize", {"model": "a", "content": "x"}))
            await mock.wait_for_requests(2, path="/tokenize")
            await mock.advance(0.1)
            assert await statuses(mock) == {"a": "loading"}
            await mock.advance(0.3)
            assert (await asking).status == 200
            assert await statuses(mock) == {"a": "loaded"}
        told = [(event["data"]["status"], event["data"].get("progress", {}).get("value")) for event in heard]
        assert told == [("sleeping", None), ("loading", 0.0), ("loading", 0.5), ("loading", 1.0), ("loaded", None)]


async def test_a_download_is_told_as_it_goes_on_and_takes_no_model_s_place() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), models_max=1, load_seconds=0.2) as mock:
        await use(mock, "a")
        async with listening(mock) as heard:
            assert (await ask(mock.url, "POST", "/models", {"model": "org/new:F16"})).json() == {"success": True}
            assert await statuses(mock) == {"a": "loaded", "org/new:F16": "downloading"}
            while heard[-1:] != [{"model": "org/new:F16", "event": "download_finished"}]:
                await asyncio.sleep(0)
        assert heard[0]["data"] == {"status": "downloading"}
        done = [next(iter(event["data"]["progress"].values())) for event in heard[1:-1]]
        assert [part["done"] / part["total"] for part in done] == [0.0, 0.5, 1.0]
        assert await statuses(mock) == {"a": "loaded", "org/new:F16": "unloaded"}
        again = (await ask(mock.url, "POST", "/models", {"model": "org/new:F16"})).json()["error"]
        assert (again["code"], again["message"]) == (400, "model 'org/new:F16' already exists")
        assert (await ask(mock.url, "DELETE", "/models?model=org/new:F16")).status == 200
        assert await statuses(mock) == {"a": "loaded"}
        missing = (await ask(mock.url, "DELETE", "/models?model=org/new:F16")).json()["error"]
        assert (missing["code"], missing["message"]) == (500, "model name=org/new:F16 is not found")


async def test_a_download_can_be_broken_off() -> None:
    async with MockLlamaServer(router=True, router_models=(), load_seconds=60) as mock:
        async with listening(mock) as heard:
            await ask(mock.url, "POST", "/models", {"model": "new"})
            assert (await ask(mock.url, "POST", "/models/unload", {"model": "new"})).status == 200
            assert await statuses(mock) == {}
        assert heard[-1] == {"model": "new", "event": "download_failed"}


async def test_a_load_by_hand_needs_a_place_that_is_free_or_idle() -> None:
    async with router(models_max=1) as mock:
        reader, writer = await connect(mock.url)
        body = b'{"model":"a","stream":true,"ignore_eos":true,"messages":[]}'
        writer.write(encode("POST", "/v1/chat/completions", {}, body))
        await read_head(reader)
        refused = (await ask(mock.url, "POST", "/models/load", {"model": "b"})).json()["error"]
        assert (refused["code"], refused["message"]) == (500, "model limit reached, try again later")
        writer.transport.abort()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models_preset": "no.ini"}, "no.ini: No such file or directory."),
        ({"models_dir": "no-such-place"}, "--models-dir: 'no-such-place' does not exist or is not a directory."),
    ],
)
def test_presets_that_cannot_be_read_are_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        router(**options)


def test_a_preset_is_checked_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the model 'x': ctx-size: invalid literal"):
        router(models_preset=written(tmp_path, "[x]\nctx-size = much\n"))
    many = "".join(f"[{name}]\nload-on-startup = 1\n" for name in "xyz")
    with pytest.raises(ValueError, match=r"load on startup \(3\) exceeds models_max \(2\)"):
        router(models_max=2, models_preset=written(tmp_path, many))


STREAM = b'{"model":"a","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
TALK = {"X-Conversation-Id": "talk"}


async def test_a_conversation_goes_on_when_its_client_leaves_during_the_load() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=5, clock="virtual") as mock:
        _, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", TALK, STREAM))
        await mock.wait_for_requests(1)
        early = await ask(mock.url, "GET", "/v1/stream?conv_id=talk")
        assert early.json()["error"]["message"] == "Stream owner model is loading, retry later"
        assert early.status == 503
        writer.transport.abort()
        await mock.wait_for_requests(1, ended="aborted")
        await mock.advance(5)
        answer = await ask(mock.url, "GET", "/v1/stream?conv_id=talk")
        assert answer.status == 200
        assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_conversation_stopped_during_the_load_is_refused_after_it() -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=5, clock="virtual") as mock:
        asking = asyncio.create_task(ask(mock.url, "POST", "/v1/chat/completions", body=STREAM, headers=TALK))
        await mock.wait_for_requests(1)
        assert (await ask(mock.url, "DELETE", "/v1/stream?conv_id=talk")).status == 204
        await mock.advance(5)
        refused = (await asking).json()["error"]
        assert refused["message"] == "request cancelled by a stop while the model was loading"
        assert refused["code"] == 400
        assert (await ask(mock.url, "GET", "/v1/stream?conv_id=talk")).status == 404


async def test_a_conversation_with_no_model_leaves_nothing_to_wait_for() -> None:
    async with router() as mock:
        unknown = await ask(mock.url, "POST", "/v1/chat/completions", CHAT | {"model": "z"}, headers=TALK)
        assert unknown.status == 400
        assert (await ask(mock.url, "GET", "/v1/stream?conv_id=talk")).status == 404


async def test_a_request_that_goes_on_without_its_client_ends_with_the_mock(caplog: pytest.LogCaptureFixture) -> None:
    async with MockLlamaServer(router=True, router_models=("a",), load_seconds=60) as mock:
        _, writer = await connect(mock.url)
        writer.write(encode("POST", "/v1/chat/completions", TALK, STREAM))
        await mock.wait_for_requests(1)
        writer.transport.abort()
        await mock.wait_for_requests(1, ended="aborted")
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert caplog.records == []
