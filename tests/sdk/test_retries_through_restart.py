"""The loop that users of the cloud are told to write, through a deployment and a restart of ordinary length."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from mockserver.sandbox import Deployment, Sandbox

BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


async def ask(url: str, key: str, body: dict[str, Any]) -> Any:
    async with aiohttp.ClientSession() as session:
        for attempt in range(5):
            async with session.post(
                url, json=body, headers={"x-api-key": key}, timeout=aiohttp.ClientTimeout(120)
            ) as answer:
                status, said = answer.status, await answer.json()
            if status == 200:
                return said
            if status not in (502, 503) or attempt == 4:
                break
            await asyncio.sleep(2**attempt)
    raise RuntimeError(f"{said['error']['type']}: {said['error']['message']}")


def chat_of(deployment: Deployment) -> str:
    return f"{deployment.openai_base_url}/chat/completions"


@pytest.mark.slow
@pytest.mark.long
async def test_it_comes_through_a_deployment_and_a_restart(gguf_sandbox: Sandbox) -> None:
    one, other = gguf_sandbox["demo"], gguf_sandbox["slow"]
    await one.aio.redeploy(load_seconds=1.5)
    await other.aio.restart(down_seconds=1.0, load_seconds=0.5)
    asked = time.monotonic()
    answers = await asyncio.gather(
        ask(chat_of(one), gguf_sandbox.key, BODY), ask(chat_of(other), gguf_sandbox.key, BODY)
    )
    assert [answer["choices"][0]["message"]["role"] for answer in answers] == ["assistant", "assistant"]
    assert time.monotonic() - asked > 3  # tried at once, after 1 s, and 2 s later
    assert [seen.status for seen in one.requests] == [200]
    assert other.requests[-1].status == 200


async def test_it_raises_what_waiting_does_not_mend(gguf_sandbox: Sandbox) -> None:
    with pytest.raises(RuntimeError, match=r"^authentication_error: Invalid API key\.$"):
        await ask(chat_of(gguf_sandbox["demo"]), "wrong", BODY)
    elsewhere = f"{gguf_sandbox.url}/api/gguf/elsewhere/v1/chat/completions"
    with pytest.raises(RuntimeError, match=r"^not_found_error: No deployment found for this endpoint\.$"):
        await ask(elsewhere, gguf_sandbox.key, BODY)
    with pytest.raises(RuntimeError, match=r"^invalid_request_error: "):
        await ask(chat_of(gguf_sandbox["demo"]), gguf_sandbox.key, {"messages": "no list"})
