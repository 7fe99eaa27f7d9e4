"""The mock in a thread of its own, awaited from another event loop: that of a test."""

import asyncio
from functools import partial
from types import EllipsisType
from typing import Any

from mockserver.core.state import Seconds, StateName
from mockserver.play.journal import EndName, JournalEntry
from mockserver.server.background_thread import BackgroundMock


class AwaitedMock:
    """The methods of `BackgroundMock` that take time, to be awaited."""

    def __init__(self, mock: BackgroundMock) -> None:
        self._mock = mock

    async def set_state(
        self,
        state: StateName,
        *,
        load_seconds: Seconds = ...,
        down_seconds: Seconds = ...,
        up_seconds: Seconds = ...,
        wake_seconds: float | EllipsisType = ...,
    ) -> None:
        """See `BackgroundMock.set_state`."""
        set_state = partial(self._mock.set_state, state, load_seconds=load_seconds, down_seconds=down_seconds)
        await asyncio.to_thread(set_state, up_seconds=up_seconds, wake_seconds=wake_seconds)

    async def play(self, scenario: Any) -> None:
        """See `BackgroundMock.play`."""
        await asyncio.to_thread(self._mock.play, scenario)

    async def advance(self, seconds: float) -> None:
        """See `BackgroundMock.advance`."""
        await asyncio.to_thread(self._mock.advance, seconds)

    async def wait_for_state(self, state: StateName, timeout: float = 5.0) -> None:
        """See `BackgroundMock.wait_for_state`."""
        await self._mock.awaited(lambda mock: mock.wait_for_state(state, timeout))

    async def wait_for_requests(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,
        ended: EndName | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        after: int = 0,
        probes: bool = True,
    ) -> list[JournalEntry]:
        """See `BackgroundMock.wait_for_requests`."""
        wanted = {"ended": ended, "method": method, "path": path, "status": status, "after": after, "probes": probes}
        return await self._mock.awaited(lambda mock: mock.wait_for_requests(count, timeout=timeout, **wanted))
