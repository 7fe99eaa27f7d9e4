"""Lets the team play for as long as the sandbox serves, in its process: it ends with the sandbox, whatever happens."""

import asyncio
import random
from collections.abc import Sequence

import aiohttp

from gateway.cli.sandbox.traffic.habits import HABITS, Habit, TrafficClient
from gateway.cli.sandbox.traffic.team import Player

_SEED = 7  # the play is the same each time, but for how long answers take


class SandboxTraffic:
    """The requests of `players` to these deployments, of which the first one is used most."""

    def __init__(self, players: Sequence[Player], deployments: Sequence[str]) -> None:
        self._players = players
        self._deployments = list(deployments)
        self._task: asyncio.Task[None] | None = None

    def start(self, url: str) -> None:
        """Begin, with the gateway at `url`."""
        self._task = asyncio.get_running_loop().create_task(self._play(url), name="traffic")

    async def stop(self, _app: object = None) -> None:
        """End all requests at once: nobody waits for their answers."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _play(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for number, player in enumerate(self._players):
                client = TrafficClient(session, url, player.key, random.Random(_SEED + number))  # noqa: S311  a play
                group.create_task(self._begin_after(number, HABITS[player.name], client))

    async def _begin_after(self, seconds: float, habit: Habit, client: TrafficClient) -> None:
        """Not everybody begins in the same moment."""
        await asyncio.sleep(seconds)
        await habit(client, self._deployments)
