"""The official OpenAI SDK, pointed at a deployment: everything it promises its users holds."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import openai
import pytest

from mockserver.sandbox import Deployment, Sandbox
from tests.harness.patience import PATIENCE

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from openai.types.chat import ChatCompletionMessageParam

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a story."}]
UNTIL_CUT = {"ignore_eos": True}


@pytest.fixture
def client(gguf_sandbox: Sandbox, demo: Deployment) -> Iterator[OpenAI]:
    with openai.OpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(gguf_sandbox: Sandbox, demo: Deployment) -> AsyncIterator[AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        yield client


def test_a_chat_completion(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="any", messages=MESSAGES)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_streamed_chat_completion_says_the_same_as_a_plain_one(client: OpenAI) -> None:
    plain = client.chat.completions.create(model="any", messages=MESSAGES, seed=7)
    with client.chat.completions.create(
        model="any", messages=MESSAGES, seed=7, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == plain.choices[0].message.content
    assert chunks[-1].usage is not None
    assert len(chunks) > 5


async def test_async_plain_and_streamed(async_client: AsyncOpenAI) -> None:
    plain = await async_client.chat.completions.create(model="any", messages=MESSAGES, seed=7)
    stream = await async_client.chat.completions.create(model="any", messages=MESSAGES, seed=7, stream=True)
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert said == plain.choices[0].message.content


def test_the_older_completions(client: OpenAI) -> None:
    plain = client.completions.create(model="any", prompt="Once upon", max_tokens=8, seed=7)
    streamed = client.completions.create(model="any", prompt="Once upon", max_tokens=8, seed=7, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == plain.choices[0].text != ""


def test_responses_plain_and_streamed(client: OpenAI) -> None:
    plain = client.responses.create(model="any", input="Tell me a story.")
    assert plain.output_text
    with client.responses.create(model="any", input="Tell me a story.", stream=True) as stream:
        events = list(stream)
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == plain.output_text
    assert events[-1].type == "response.completed"


def test_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(model="any", input=["one", "two"])
    assert [item.index for item in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == len(answer.data[1].embedding) > 1


def test_the_list_of_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["mock"]


def test_the_model_servers_own_errors_pass_through(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "a " * 200_000}])
    assert caught.value.type == "exceed_context_size_error"


# --- refusals


def test_a_wrong_key_is_an_authentication_error_and_not_retried(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="wrong", max_retries=2).models.list()
    assert caught.value.type == "authentication_error"
    assert _retries(caught.value) == "0"


def test_an_unknown_deployment_is_a_not_found_error_and_not_retried(gguf_sandbox: Sandbox, client: OpenAI) -> None:
    elsewhere = f"{gguf_sandbox.url}/api/gguf/unknown/v1"
    with pytest.raises(openai.NotFoundError, match="No deployment found for this endpoint") as caught:
        client.with_options(base_url=elsewhere, max_retries=2).models.list()
    assert caught.value.type == "not_found_error"
    assert _retries(caught.value) == "0"


def test_a_paused_deployment_is_an_internal_server_error_503(demo: Deployment, client: OpenAI) -> None:
    demo.pause()
    with pytest.raises(openai.InternalServerError, match=r"not ready \(status: paused\)") as caught:
        client.chat.completions.create(model="any", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert caught.value.response.headers["retry-after"] == "30"
    assert caught.value.response.headers["x-should-retry"] == "true"


async def test_a_deploying_deployment_is_an_internal_server_error_503(
    demo: Deployment, async_client: AsyncOpenAI
) -> None:
    await demo.aio.redeploy(load_seconds=30)
    with pytest.raises(openai.InternalServerError, match=r"not ready \(status: deploying\)") as caught:
        await async_client.chat.completions.create(model="any", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert caught.value.response.headers["retry-after"] == "5"


def test_a_crashed_model_server_is_an_internal_server_error_502(demo: Deployment, client: OpenAI) -> None:
    demo.crash()
    with pytest.raises(openai.InternalServerError, match="unreachable right now") as caught:
        client.chat.completions.create(model="any", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.type) == (502, "api_error")
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


def test_retries_ride_out_a_restart_and_wait_as_long_as_told(demo: Deployment, client: OpenAI) -> None:
    demo.restart(down_seconds=0.5)
    asked = time.monotonic()
    answer = client.with_options(max_retries=2).chat.completions.create(model="any", messages=MESSAGES)
    assert answer.choices[0].message.content
    assert time.monotonic() - asked >= 1  # Retry-After: 1
    assert len(demo.requests) == 1


async def test_async_retries_ride_out_a_restart(demo: Deployment, async_client: AsyncOpenAI) -> None:
    await demo.aio.restart(down_seconds=0.3, load_seconds=0.3)
    patient = async_client.with_options(max_retries=2)
    assert (await patient.chat.completions.create(model="any", messages=MESSAGES)).choices[0].message.content


def test_retries_that_do_not_help_end_in_the_error(demo: Deployment, client: OpenAI) -> None:
    demo.crash()
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=1).chat.completions.create(model="any", messages=MESSAGES)
    assert _retries(caught.value) == "1"


@pytest.mark.slow
def test_a_model_server_that_takes_too_long_is_asked_once() -> None:
    with Sandbox(server={"timeouts": {"first_byte": 0.2}}, ttft=5) as sandbox:
        demo = sandbox.deployment()
        with (
            openai.OpenAI(base_url=demo.openai_base_url, api_key=sandbox.key) as client,
            pytest.raises(openai.InternalServerError, match="no answer within the time limit") as caught,
        ):
            client.chat.completions.create(model="any", messages=MESSAGES)
        assert caught.value.status_code == 504
        assert len(demo.requests) == 1


# --- where the key may stand


@pytest.mark.parametrize("header", ["x-api-key", "key"])
def test_the_key_may_stand_in_another_header(gguf_sandbox: Sandbox, demo: Deployment, header: str) -> None:
    class Client(openai.OpenAI):
        @property
        def auth_headers(self) -> dict[str, str]:
            return {header: self.api_key}

    with Client(base_url=demo.openai_base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        assert client.models.list().data
    sent = {name.lower() for name, _ in demo.requests[0].headers}
    assert not sent & {"authorization", "x-api-key", "key"}


def test_the_same_key_in_two_headers_is_fine_and_two_keys_are_not(gguf_sandbox: Sandbox, client: OpenAI) -> None:
    assert client.with_options(default_headers={"x-api-key": gguf_sandbox.key}).models.list().data
    with pytest.raises(openai.AuthenticationError):
        client.with_options(default_headers={"x-api-key": "another"}).models.list()


# --- streams that break


@pytest.mark.parametrize("change", ["crash", "pause", "restart"])
def test_a_stream_that_breaks_raises(gguf_sandbox: Sandbox, client: OpenAI, change: str) -> None:
    slow = gguf_sandbox["slow"]
    with client.with_options(base_url=slow.openai_base_url).chat.completions.create(
        model="any", messages=MESSAGES, stream=True, extra_body=UNTIL_CUT
    ) as stream:
        next(stream)
        getattr(slow, change)()
        with pytest.raises(openai.APIError, match="broke off in the middle"):
            list(stream)


def test_a_stream_that_breaks_within_an_event_raises_of_its_half(demo: Deployment, client: OpenAI) -> None:
    demo.faults.add("cut at=event")
    with (
        client.chat.completions.create(model="any", messages=MESSAGES, stream=True) as stream,
        pytest.raises(json.JSONDecodeError),
    ):
        list(stream)


async def test_an_async_stream_that_breaks_raises(gguf_sandbox: Sandbox, async_client: AsyncOpenAI) -> None:
    slow = gguf_sandbox["slow"]
    stream = await async_client.with_options(base_url=slow.openai_base_url).chat.completions.create(
        model="any", messages=MESSAGES, stream=True, extra_body=UNTIL_CUT
    )
    await anext(stream)
    await slow.aio.crash()
    with pytest.raises(openai.APIError, match="broke off in the middle"):
        _ = [chunk async for chunk in stream]
    await stream.close()


@pytest.mark.slow
def test_a_responses_stream_that_breaks_raises(gguf_sandbox: Sandbox, client: OpenAI) -> None:
    slow = gguf_sandbox["slow"]
    with client.with_options(base_url=slow.openai_base_url).responses.create(
        model="any", input="Tell me a story.", stream=True, extra_body=UNTIL_CUT
    ) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")
        slow.crash()
        with pytest.raises(openai.APIError, match="broke off in the middle"):
            list(stream)


def test_leaving_a_stream_frees_the_slot(gguf_sandbox: Sandbox, client: OpenAI) -> None:
    slow = gguf_sandbox["slow"]
    with client.with_options(base_url=slow.openai_base_url).chat.completions.create(
        model="any", messages=MESSAGES, stream=True, extra_body=UNTIL_CUT
    ) as stream:
        next(stream)
    slow.wait_for_requests(1, ended="aborted", timeout=PATIENCE)


def _retries(error: openai.APIStatusError) -> str:
    """How many retries came before the answer, as the SDK tells the server."""
    return error.response.request.headers["x-stainless-retry-count"]
