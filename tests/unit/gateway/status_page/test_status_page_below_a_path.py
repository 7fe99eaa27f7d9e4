"""The status page where another server serves the gateway below a path."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from aiohttp import ClientSession
from playwright.async_api import expect

from gateway.core.deployment import Deployment, Status
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.status_pages import NOWHERE, serving
from tests.harness.patience import PATIENCE
from tests.harness.processes.nginx import Nginx, is_installed

pytestmark = pytest.mark.slow

DEMO = Deployment("demo", "acme", NOWHERE)


async def test_nothing_that_the_page_asks_for_begins_at_the_root() -> None:
    async with serving([DEMO]) as gateway, ClientSession() as client:
        page = await (await client.get(gateway.url)).text()
        asked = re.findall(r'(?:src|href)="(?!#)([^"]+)"', page)
        script = await (await client.get(f"{gateway.url}/static/status.js")).text()
        asked += re.findall(r'EventSource\("([^"]+)"', script)
        assert {"static/status.css", "static/status.js", "events"} <= set(asked)
        for link in asked:
            assert urljoin("/llm/", link).startswith("/llm/"), link
            async with client.get(urljoin(f"{gateway.url}/", link)) as found:
                assert found.status == 200, link


PREFIXES = {
    "/llm": "/llm",
    "/llm/": "/llm",
    "/team-a/llm.v2": "/team-a/llm.v2",
    "/": "",
    "": "",
    "llm": "",
    "//evil.test": "",
    "/a/../b": "/a/../b",  # a path all the same: a browser tidies it up
    '/"><script>': "",
    "/a b": "",
    "/llm, /other": "",
    "/%22": "",
}


@pytest.mark.parametrize(("told", "shown"), PREFIXES.items(), ids=PREFIXES)
async def test_base_urls_have_the_path_that_a_proxy_tells(told: str, shown: str) -> None:
    async with serving([DEMO], status_page="everyone") as gateway, ClientSession() as client:
        headers = {"X-Forwarded-Prefix": told, "X-Forwarded-Proto": "https", "Host": "models.test"}
        page = await (await client.get(gateway.url, headers=headers)).text()
    assert re.findall(r'data-copy="(https?://[^"]+)"', page)[1] == f"https://models.test{shown}/api/gguf/demo"


@pytest.mark.skipif(not is_installed(), reason="nginx is not installed")
@pytest.mark.parametrize("prefix", ["", "proxy_set_header X-Forwarded-Prefix /llm;"])
async def test_it_is_whole_and_live_behind_nginx_below_a_path(tmp_path: Path, prefix: str) -> None:
    require_chromium("the status page below a path")
    further = f"proxy_set_header Host $http_host; {prefix} proxy_buffering off;"
    async with serving([DEMO], status_page="everyone") as gateway, running_chromium() as browser:
        with Nginx(tmp_path, gateway.port, "/llm/", further) as nginx:
            page = await browser.new_page()
            expect.set_options(timeout=PATIENCE * 1000)
            missing: list[str] = []
            page.on("response", lambda answer: missing.append(answer.url) if answer.status >= 400 else None)
            await page.goto(f"http://127.0.0.1:{nginx.port}/llm/")
            await expect(page.locator("#link-text")).to_have_text("Live")
            gateway.registry.say(Deployment("demo", "acme", NOWHERE, status=Status.PAUSED))
            await expect(page.locator("#d-demo .state")).to_contain_text("Paused")
            assert await page.evaluate("getComputedStyle(document.querySelector('.unseen')).position") == "absolute"
            base = await page.locator("#d-demo [data-copy]").nth(1).get_attribute("data-copy")
            assert base == f"http://127.0.0.1:{nginx.port}{'/llm' if prefix else ''}/api/gguf/demo"
            assert missing == []
