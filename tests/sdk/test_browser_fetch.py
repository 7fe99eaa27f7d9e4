"""`fetch` in a real browser, from a page of another origin: what a web application can do, and what it can read."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page

from mockserver import MockLlamaServer
from mockserver.sandbox import Deployment, Sandbox
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.patience import PATIENCE

require_chromium("fetch from another origin")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

# What the page's script says of one request: the answer as far as it may read it, or the browser's own complaint.
ASK = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options);
        return {status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text()};
    } catch (error) {
        return {complaint: String(error)};
    }
}"""

# Reads a stream piece by piece, and after `most` of them no more.
STREAM = """async ([url, options, most]) => {
    const controller = new AbortController();
    const answer = await fetch(url, {...options, signal: controller.signal});
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const pieces = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
        pieces.push(next.value);
        if (pieces.length === most) {
            controller.abort();
            break;
        }
    }
    return pieces;
}"""

COMPLAINT = "TypeError: Failed to fetch"
MESSAGES = '"messages": [{"role": "user", "content": "Tell me a story."}]'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """An empty page of an origin of its own: another port of this machine, by its other name."""

    async def empty(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>An application</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    async with TestServer(app) as server:
        window = await browser.new_context()
        window.set_default_timeout(PATIENCE * 1000)
        page = await window.new_page()
        await page.goto(f"http://localhost:{server.port}/")
        yield page
        await window.close()


@pytest.fixture(scope="module")
def closed_sandbox() -> Iterator[Sandbox]:
    """A gateway that lets in the pages of one origin, which is another one."""
    with Sandbox({"demo": MockLlamaServer()}, server={"cors_origins": ["https://app.example.org"]}) as sandbox:
        yield sandbox


def asking(sandbox: Sandbox, fields: str = '"max_tokens": 8', key: str | None = None, **more: str) -> dict[str, Any]:
    """The options of a `fetch` as a web application writes them."""
    headers = {"Authorization": f"Bearer {key or sandbox.key}", "Content-Type": "application/json", **more}
    return {"method": "POST", "headers": headers, "body": f"{{{fields}, {MESSAGES}}}"}


def chat(deployment: Deployment) -> str:
    return f"{deployment.openai_base_url}/chat/completions"


async def test_a_page_asks_and_reads_the_answer_with_its_headers(page: Page, gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox["demo"]
    answer = await page.evaluate(ASK, [chat(demo), asking(gguf_sandbox, **{"x-request-id": "of-a-page"})])
    assert answer["status"] == 200
    assert '"choices"' in answer["body"]
    assert answer["headers"]["x-request-id"] == answer["headers"]["request-id"] == "of-a-page"
    assert answer["headers"]["content-type"] == "application/json; charset=utf-8"
    assert [request.method for request in demo.requests] == ["POST"]  # the preflight was the gateway's


async def test_a_page_reads_a_stream_as_it_comes(page: Page, gguf_sandbox: Sandbox) -> None:
    slow = gguf_sandbox["slow"]
    pieces = await page.evaluate(STREAM, [chat(slow), asking(gguf_sandbox, '"max_tokens": 8, "stream": true'), 0])
    assert len(pieces) > 2
    assert "".join(pieces).endswith("data: [DONE]\n\n")
    url = f"{slow.base_url}/v1/messages"
    headers = {"x-api-key": gguf_sandbox.key, "anthropic-dangerous-direct-browser-access": "true"}
    options = {"method": "POST", "headers": headers, "body": f'{{"max_tokens": 8, "stream": true, {MESSAGES}}}'}
    assert "message_stop" in "".join(await page.evaluate(STREAM, [url, options, 0]))


async def test_a_page_that_aborts_stops_its_generation(page: Page, gguf_sandbox: Sandbox) -> None:
    slow = gguf_sandbox["slow"]
    options = asking(gguf_sandbox, '"max_tokens": 50000, "ignore_eos": true, "stream": true')
    assert len(await page.evaluate(STREAM, [chat(slow), options, 3])) == 3
    assert await slow.aio.wait_for_requests(1, ended="aborted", timeout=PATIENCE)


@pytest.mark.parametrize("refused", ["a wrong key", "no such deployment", "no such path", "another method", "paused"])
async def test_a_page_reads_why_it_is_refused(page: Page, gguf_sandbox: Sandbox, refused: str) -> None:
    demo = gguf_sandbox["demo"]
    options, url = asking(gguf_sandbox), chat(demo)
    if refused == "a wrong key":
        options, expected = asking(gguf_sandbox, key="wrong"), (401, "Invalid API key.")
    elif refused == "no such deployment":
        url, expected = url.replace("demo", "none"), (404, "No deployment found for this endpoint.")
    elif refused == "no such path":
        url, expected = f"{gguf_sandbox.url}/v1/chat/completions", (404, "Nothing is served at this path.")
    elif refused == "another method":
        options, expected = {**options, "method": "PUT"}, (405, "This path is served for POST only.")
    else:
        demo.pause()
        expected = (503, "Endpoint is not ready (status: paused). It may still be deploying or paused.")
    answer = await page.evaluate(ASK, [url, options])
    assert answer["status"] == expected[0]
    assert f'"message": "{expected[1]}' in answer["body"]
    assert answer["headers"]["x-request-id"]
    assert answer["headers"]["x-should-retry"] == ("true" if refused == "paused" else "false")
    assert answer["headers"].get("retry-after") == ("30" if refused == "paused" else None)
    assert answer["headers"].get("allow") == ("POST" if refused == "another method" else None)


async def test_a_page_reads_that_the_model_server_is_away(page: Page, gguf_sandbox: Sandbox) -> None:
    gguf_sandbox["demo"].crash()
    answer = await page.evaluate(ASK, [chat(gguf_sandbox["demo"]), asking(gguf_sandbox)])
    assert (answer["status"], answer["headers"]["retry-after"]) == (502, "1")
    assert "The model endpoint is unreachable right now." in answer["body"]


async def test_a_page_that_sends_cookies_reads_nothing(page: Page, gguf_sandbox: Sandbox) -> None:
    options = {**asking(gguf_sandbox), "credentials": "include"}
    assert await page.evaluate(ASK, [chat(gguf_sandbox["demo"]), options]) == {"complaint": COMPLAINT}
    assert gguf_sandbox["demo"].requests == []


async def test_a_page_of_another_origin_gets_nothing_through(page: Page, closed_sandbox: Sandbox) -> None:
    demo = closed_sandbox["demo"]
    assert await page.evaluate(ASK, [chat(demo), asking(closed_sandbox)]) == {"complaint": COMPLAINT}
    assert demo.requests == []


@pytest.mark.parametrize("path", ["/", "/metrics", "/events"])
async def test_no_page_reads_what_is_the_operators(page: Page, gguf_sandbox: Sandbox, path: str) -> None:
    assert await page.evaluate(ASK, [gguf_sandbox.url + path, {}]) == {"complaint": COMPLAINT}
    assert (await page.evaluate(ASK, [f"{gguf_sandbox.url}/healthz", {}]))["status"] == 200
