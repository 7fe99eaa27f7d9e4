"""A client for the status page."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientTimeout


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        yield session
