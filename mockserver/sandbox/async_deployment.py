"""The lines of a deployment that take time, to be awaited: for tests whose own tasks must go on meanwhile."""

import asyncio
from typing import Any

from mockserver.core.clock import NotInTime
from mockserver.play.journal import EndName, JournalEntry
from mockserver.sandbox.deployment import Deployment


class AsyncDeployment:
    """The methods of `Deployment` that take time, to be awaited."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def pause(self) -> None:
        """See `Deployment.pause`."""
        await asyncio.to_thread(self._deployment.pause)

    async def resume(self) -> None:
        """See `Deployment.resume`."""
        await asyncio.to_thread(self._deployment.resume)

    async def restart(self, down_seconds: float = 1.0, load_seconds: float = 0.0) -> None:
        """See `Deployment.restart`."""
        await asyncio.to_thread(self._deployment.restart, down_seconds, load_seconds)

    async def crash(self) -> None:
        """See `Deployment.crash`."""
        await asyncio.to_thread(self._deployment.crash)

    async def hang(self) -> None:
        """See `Deployment.hang`."""
        await asyncio.to_thread(self._deployment.hang)

    async def redeploy(self, load_seconds: float = 1.0) -> None:
        """See `Deployment.redeploy`."""
        await asyncio.to_thread(self._deployment.redeploy, load_seconds)

    async def wait_until_ready(self, timeout: float = 10.0) -> None:
        """See `Deployment.wait_until_ready`."""
        await asyncio.to_thread(self._deployment.wait_until_ready, timeout)

    async def play(self, scenario: Any) -> None:
        """See `Deployment.play`."""
        await asyncio.to_thread(self._deployment.play, scenario)

    async def stop_playing(self) -> None:
        """See `Deployment.stop_playing`."""
        await asyncio.to_thread(self._deployment.stop_playing)

    async def advance(self, seconds: float) -> None:
        """See `Deployment.advance`."""
        await asyncio.to_thread(self._deployment.advance, seconds)

    async def wait_for_requests(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,
        ended: EndName | None = None,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
    ) -> list[JournalEntry]:
        """See `Deployment.wait_for_requests`."""
        try:
            return await self._deployment.mock.aio.wait_for_requests(
                count, timeout=timeout, ended=ended, method=method, path=path, status=status, probes=False
            )
        except NotInTime as error:
            raise self._deployment.not_received(error) from None
