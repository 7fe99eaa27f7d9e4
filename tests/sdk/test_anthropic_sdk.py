"""The official Anthropic SDK, pointed at a deployment: everything it promises its users holds."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import anthropic
import pytest

from mockserver.sandbox import Deployment, Sandbox
from tests.harness.patience import PATIENCE

if TYPE_CHECKING:
    from anthropic import Anthropic, AsyncAnthropic
    from anthropic.types import MessageParam

MESSAGES: list[MessageParam] = [{"role": "user", "content": "Tell me a story."}]
UNTIL_CUT = {"ignore_eos": True}


@pytest.fixture
def client(gguf_sandbox: Sandbox, demo: Deployment) -> Iterator[Anthropic]:
    with anthropic.Anthropic(base_url=demo.base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(gguf_sandbox: Sandbox, demo: Deployment) -> AsyncIterator[AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=demo.base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        yield client


def test_a_message(client: Anthropic) -> None:
    message = client.messages.create(model="any", messages=MESSAGES, max_tokens=200)
    assert isinstance(message.content[0], anthropic.types.TextBlock)
    assert message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


def test_a_streamed_message_says_the_same_as_a_plain_one(client: Anthropic) -> None:
    plain = client.messages.create(model="any", messages=MESSAGES, max_tokens=200)
    with client.messages.stream(model="any", messages=MESSAGES, max_tokens=200) as stream:
        said = "".join(stream.text_stream)
    assert [block.text for block in plain.content if isinstance(block, anthropic.types.TextBlock)] == [said]


async def test_async_plain_and_streamed(async_client: AsyncAnthropic) -> None:
    plain = await async_client.messages.create(model="any", messages=MESSAGES, max_tokens=200)
    async with async_client.messages.stream(model="any", messages=MESSAGES, max_tokens=200) as stream:
        said = "".join([piece async for piece in stream.text_stream])
    assert [block.text for block in plain.content if isinstance(block, anthropic.types.TextBlock)] == [said]


@pytest.mark.slow
def test_the_events_of_a_stream_come_in_the_protocols_order(client: Anthropic) -> None:
    with client.messages.create(model="any", messages=MESSAGES, max_tokens=200, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_counting_tokens(client: Anthropic) -> None:
    assert client.messages.count_tokens(model="any", messages=MESSAGES).input_tokens > 3


# --- refusals


def test_a_wrong_key_is_an_authentication_error_and_not_retried(client: Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError, match="Invalid API key") as caught:
        client.with_options(api_key="wrong", max_retries=2).messages.create(
            model="any", messages=MESSAGES, max_tokens=5
        )
    assert caught.value.type == "authentication_error"
    assert _retries(caught.value) == "0"


def test_an_unknown_deployment_is_a_not_found_error_and_not_retried(gguf_sandbox: Sandbox, client: Anthropic) -> None:
    elsewhere = f"{gguf_sandbox.url}/api/gguf/unknown"
    with pytest.raises(anthropic.NotFoundError, match="No deployment found for this endpoint") as caught:
        client.with_options(base_url=elsewhere, max_retries=2).messages.count_tokens(model="any", messages=MESSAGES)
    assert _retries(caught.value) == "0"


def test_a_paused_deployment_is_a_service_unavailable_error(demo: Deployment, client: Anthropic) -> None:
    demo.pause()
    with pytest.raises(anthropic.InternalServerError, match=r"not ready \(status: paused\)") as caught:
        client.messages.create(model="any", messages=MESSAGES, max_tokens=5)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert caught.value.response.headers["retry-after"] == "30"


async def test_a_deploying_deployment_is_a_service_unavailable_error(
    demo: Deployment, async_client: AsyncAnthropic
) -> None:
    await demo.aio.redeploy(load_seconds=30)
    with pytest.raises(anthropic.InternalServerError, match=r"not ready \(status: deploying\)") as caught:
        await async_client.messages.create(model="any", messages=MESSAGES, max_tokens=5)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert caught.value.response.headers["retry-after"] == "5"


def test_a_crashed_model_server_is_an_internal_server_error_502(demo: Deployment, client: Anthropic) -> None:
    demo.crash()
    with pytest.raises(anthropic.InternalServerError, match="unreachable right now") as caught:
        client.messages.create(model="any", messages=MESSAGES, max_tokens=5)
    assert (caught.value.status_code, caught.value.type) == (502, "api_error")


@pytest.mark.slow
def test_a_model_server_that_takes_too_long_is_asked_once() -> None:
    with Sandbox(server={"timeouts": {"first_byte": 0.2}}, ttft=5) as sandbox:
        demo = sandbox.deployment()
        with (
            anthropic.Anthropic(base_url=demo.base_url, api_key=sandbox.key) as client,
            pytest.raises(anthropic.InternalServerError, match="no answer within the time limit") as caught,
        ):
            client.messages.create(model="any", messages=MESSAGES, max_tokens=200)
        assert caught.value.status_code == 504
        assert len(demo.requests) == 1


def test_retries_ride_out_a_restart_and_wait_as_long_as_told(demo: Deployment, client: Anthropic) -> None:
    demo.restart(down_seconds=0.5)
    asked = time.monotonic()
    patient = client.with_options(max_retries=2)
    assert patient.messages.create(model="any", messages=MESSAGES, max_tokens=5).content
    assert time.monotonic() - asked >= 1  # Retry-After: 1
    assert len(demo.requests) == 1


async def test_async_retries_ride_out_a_restart(demo: Deployment, async_client: AsyncAnthropic) -> None:
    await demo.aio.restart(down_seconds=0.3, load_seconds=0.3)
    patient = async_client.with_options(max_retries=2)
    async with patient.messages.stream(model="any", messages=MESSAGES, max_tokens=5) as stream:
        assert await stream.get_final_text()


# --- where the key may stand


def test_the_key_as_a_bearer_token(gguf_sandbox: Sandbox, demo: Deployment) -> None:
    with anthropic.Anthropic(base_url=demo.base_url, auth_token=gguf_sandbox.key, max_retries=0) as client:
        assert client.messages.count_tokens(model="any", messages=MESSAGES).input_tokens


def test_the_same_key_twice_as_claude_code_sends_it_is_fine(gguf_sandbox: Sandbox, demo: Deployment) -> None:
    key = gguf_sandbox.key
    twice = {"x-api-key": key}
    with anthropic.Anthropic(base_url=demo.base_url, auth_token=key, default_headers=twice, max_retries=0) as client:
        assert client.messages.count_tokens(model="any", messages=MESSAGES).input_tokens
    sent = {name.lower() for name, _ in demo.requests[0].headers}
    assert not sent & {"authorization", "x-api-key", "key"}


def test_the_protocols_headers_reach_the_model_server(client: Anthropic, demo: Deployment) -> None:
    client.messages.count_tokens(model="any", messages=MESSAGES, extra_headers={"anthropic-beta": "one,two"})
    sent = {name.lower(): value for name, value in demo.requests[0].headers}
    assert sent["anthropic-beta"] == "one,two"
    assert "anthropic-version" in sent


# --- streams that break


@pytest.mark.parametrize("change", ["crash", "pause", "restart"])
def test_a_stream_that_breaks_raises(gguf_sandbox: Sandbox, client: Anthropic, change: str) -> None:
    slow = gguf_sandbox["slow"]
    with client.with_options(base_url=slow.base_url).messages.stream(
        model="any", messages=MESSAGES, max_tokens=10_000, extra_body=UNTIL_CUT
    ) as stream:
        next(stream.text_stream)
        getattr(slow, change)()
        with pytest.raises(anthropic.APIStatusError, match="broke off in the middle"):
            stream.until_done()


def test_a_stream_that_breaks_within_an_event_raises_of_its_half(demo: Deployment, client: Anthropic) -> None:
    demo.faults.add("cut at=event")
    with (
        client.messages.stream(model="any", messages=MESSAGES, max_tokens=10) as stream,
        pytest.raises(json.JSONDecodeError),
    ):
        stream.until_done()


async def test_an_async_stream_that_breaks_raises(gguf_sandbox: Sandbox, async_client: AsyncAnthropic) -> None:
    slow = gguf_sandbox["slow"]
    async with async_client.with_options(base_url=slow.base_url).messages.stream(
        model="any", messages=MESSAGES, max_tokens=10_000, extra_body=UNTIL_CUT
    ) as stream:
        await anext(stream.text_stream)
        await slow.aio.crash()
        with pytest.raises(anthropic.APIStatusError, match="broke off in the middle"):
            await stream.until_done()


def test_leaving_a_stream_frees_the_slot(gguf_sandbox: Sandbox, client: Anthropic) -> None:
    slow = gguf_sandbox["slow"]
    with client.with_options(base_url=slow.base_url).messages.stream(
        model="any", messages=MESSAGES, max_tokens=10_000, extra_body=UNTIL_CUT
    ) as stream:
        next(stream.text_stream)
    slow.wait_for_requests(1, ended="aborted", timeout=PATIENCE)


def _retries(error: anthropic.APIStatusError) -> str:
    """How many retries came before the answer, as the SDK tells the server."""
    return error.response.request.headers["x-stainless-retry-count"]
