"""The files of the status page, and the headers that keep a browser strict."""

import re

import pytest
from aiohttp import ClientSession

from gateway.core.deployment import Deployment
from tests.harness.pages.status_pages import NOWHERE, serving
from tests.unit.gateway.status_page.page_reading import PATHS, ask, read_page

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/.",
        "/static/..",
        "/static/../routes.py",
        "/static/%2e%2e/routes.py",
        "/static/..%2froutes.py",
        "/static/%2fetc%2fpasswd",
        "/static//etc/passwd",
        "/static/status.css/",
        "/static/status.css%00",
        "/static/STATUS.CSS",
        "/static/status.html",
    ],
)
async def test_only_the_files_of_the_page_are_served_and_no_directory(client: ClientSession, path: str) -> None:
    async with serving() as gateway:
        assert await ask(client, gateway.url + path) == 404


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("status.css", "text/css"), ("status.js", "text/javascript"), ("favicon.svg", "image/svg+xml")],
)
async def test_its_files_are_typed_and_ask_for_nothing_from_elsewhere(
    client: ClientSession, name: str, content_type: str
) -> None:
    async with serving() as gateway, client.get(f"{gateway.url}/static/{name}") as response:
        assert response.content_type == content_type
        assert re.sub(r'xmlns="[^"]+"', "", await response.text()).count("://") == 0


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_the_headers_that_keep_a_browser_strict(client: ClientSession, path: str) -> None:
    async with serving() as gateway, client.get(gateway.url + path, headers={"Origin": "https://evil.test"}) as got:
        assert got.headers["Content-Security-Policy"] == CSP
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Referrer-Policy"] == "no-referrer"
        assert got.headers["Cache-Control"] == "no-store"
        assert not [name for name in got.headers if name.lower().startswith("access-control-")]


async def test_the_page_needs_no_inline_style_script_or_handler(client: ClientSession) -> None:
    async with serving([Deployment("demo", "acme", NOWHERE)]) as gateway:
        page = await read_page(client, gateway)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"static/)|javascript:", page)
