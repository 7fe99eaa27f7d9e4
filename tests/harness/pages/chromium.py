"""A real browser: the Chromium of this machine, without a window."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from scripts.painting.chromium import chromium

_CHROMIUM = chromium()
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def require_chromium(what: str) -> None:
    """Skip the module or test, or fail where `REQUIRE_BROWSER` is 1, if there is no Chromium to test `what` with."""
    if _CHROMIUM is not None:
        return
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what} cannot be tested: no chromium on this machine", pytrace=False)
    pytest.skip(f"{what} was not tested: no chromium on this machine", allow_module_level=True)


@asynccontextmanager
async def running_chromium(*arguments: str) -> AsyncIterator[Browser]:
    """A browser for as long as the block lasts; `arguments` are options of its command line."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=[*_ARGUMENTS, *arguments])
        yield browser
        await browser.close()
