"""The how-tos of docs/guide/testing.md."""

import asyncio
import json
import unittest
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from anthropic import AsyncAnthropic
from openai import APIError, AsyncOpenAI, InternalServerError, OpenAI

from mockserver import BackgroundMock, MockLlamaServer
from mockserver.sandbox import Sandbox


def test_what_my_client_sends(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    with OpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key) as client:
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello"}], temperature=0)
    (request,) = demo.requests
    assert request.path == "/v1/chat/completions"
    assert request.json()["temperature"] == 0
    assert request.header("user-agent") is not None


def test_my_client_says_that_a_deployment_is_paused(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.pause()
    with (
        OpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key, max_retries=0) as client,
        pytest.raises(InternalServerError, match="status: paused"),
    ):
        client.models.list()
    demo.resume()


def test_my_client_notices_a_stream_that_breaks(gguf_sandbox_factory: Callable[..., Sandbox]) -> None:
    sandbox = gguf_sandbox_factory(tokens_per_second=20, endless=True)
    demo = sandbox.deployment()
    with (
        OpenAI(base_url=demo.openai_base_url, api_key=sandbox.key) as client,
        client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Tell me a story."}], stream=True
        ) as stream,
    ):
        next(stream)
        demo.crash()
        with pytest.raises(APIError, match="broke off"):
            list(stream)


async def test_my_client_hangs_up_when_it_is_cancelled(gguf_sandbox_factory: Callable[..., Sandbox]) -> None:
    sandbox = gguf_sandbox_factory(ttft=30)
    demo = sandbox.deployment()
    async with AsyncAnthropic(base_url=demo.base_url, api_key=sandbox.key) as client:
        asking = asyncio.create_task(
            client.messages.create(model="any", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
        )
        await demo.aio.wait_for_requests(1, ended="running")
        asking.cancel()
        await demo.aio.wait_for_requests(1, ended="aborted", timeout=1)


def test_my_client_chooses_a_deployment_by_its_url(gguf_sandbox_factory: Callable[..., Sandbox]) -> None:
    sandbox = gguf_sandbox_factory(
        {"small": MockLlamaServer(alias="small"), "large": MockLlamaServer(alias="large", context=100_000)},
        server={"limits": {"body_bytes": 1_000_000}},
    )
    for deployment in sandbox:
        with OpenAI(base_url=deployment.openai_base_url, api_key=sandbox.key) as client:
            assert [model.id for model in client.models.list()] == [deployment.name]


async def test_my_client_leaves_when_it_is_told_to(mock_llama_server_factory: Callable[..., BackgroundMock]) -> None:
    mock = mock_llama_server_factory(ttft=30)
    async with AsyncOpenAI(base_url=f"{mock.url}/v1", api_key="any") as client:
        asking = asyncio.create_task(client.completions.create(model="any", prompt="Once"))
        await mock.aio.wait_for_requests(1, ended="running")
        asking.cancel()
        await mock.aio.wait_for_requests(1, ended="aborted", timeout=1)


def test_my_gateway_waits_for_a_model_to_load(mock_llama_server: BackgroundMock) -> None:
    mock_llama_server.set_state("deploying", load_seconds=0.2)
    with pytest.raises(HTTPError, match="503") as caught:
        urlopen(f"{mock_llama_server.url}/v1/models", timeout=5)
    caught.value.close()
    mock_llama_server.wait_for_state("ready")


class TestMyClient(unittest.TestCase):
    def setUp(self) -> None:
        self.sandbox = self.enterContext(Sandbox())

    def test_the_list_of_models(self) -> None:
        url = f"{self.sandbox.deployment().openai_base_url}/models"
        with urlopen(Request(url, headers={"x-api-key": self.sandbox.key}), timeout=5) as answer:
            assert json.load(answer)["data"][0]["id"] == "mock"
