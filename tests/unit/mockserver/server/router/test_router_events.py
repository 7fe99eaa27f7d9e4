"""What a router tells those who listen: loads, sleeps, downloads."""

import asyncio
from typing import Any

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask
from tests.unit.mockserver.server.router.routers import listening, statuses, use


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
