"""A browser for all tests of a module: to start one takes longer than most of them."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> "AsyncIterator[Browser]":
    from tests.harness.pages.chromium import running_chromium

    async with running_chromium() as browser:
        yield browser
