"""What is changed while everything runs: keys made and revoked, a deployment paused and resumed, hang-ups sent.

All of it with the command line, as an operator would.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from scripts.benchmark.process import GATEWAY, Process
from scripts.soaking.cases import FLAPPING, Site
from scripts.soaking.client import Client, Malformed

_SECONDS = 5.0  # within which a change must be in force


@dataclass
class Churn:
    """Runs until it is stopped, at most one change at a time. `wrong` holds a sentence for each that took no effect."""

    site: Site
    gateway: Process
    database: Path
    pause: float
    changes: int = 0
    hang_ups: int = 0
    wrong: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Change things, in turn."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hang_up())
            tasks.create_task(self._change())

    async def _change(self) -> None:
        while not self.over.is_set():
            for step in (self._pause_and_resume, self._make_and_revoke):
                await step()
                await self._wait(self.pause)

    async def _hang_up(self) -> None:
        while not await self._wait(0.7):
            self.gateway.hang_up()
            self.hang_ups += 1

    async def _pause_and_resume(self) -> None:
        await self._command("deployments", "pause", FLAPPING)
        await self._wait(self.pause)
        await self._command("deployments", "resume", FLAPPING)

    async def _make_and_revoke(self) -> None:
        create = ("keys", "create", "--account", "soak", "--create-account", "--name", "brief", "--json")
        made = json.loads(await self._command(*create))
        await self._until("a new key is refused", lambda: self._is_let_in(made["key"]))
        await self._command("keys", "revoke", made["id"])

        async def is_refused() -> bool:
            return not await self._is_let_in(made["key"])

        await self._until("a revoked key is accepted", is_refused)

    async def _until(self, otherwise: str, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = monotonic() + _SECONDS
        while not await condition():
            if monotonic() > deadline:
                self.wrong.append(f"{otherwise} {_SECONDS:g} s later")
                return
            await asyncio.sleep(0.05)  # no event tells of what another process has read

    async def _is_let_in(self, key: str) -> bool:
        play = self.site.play("plain")
        client = await Client.connect(self.site.port)
        await client.send(self.site.whole(play, key=key))
        try:
            outcome = self.site.see(play, await client.receive())
        except Malformed as error:
            self.wrong.append(f"a request with a new key: {error}")
            return True
        await client.close()
        return outcome.status == 200

    async def _command(self, group: str, verb: str, *words: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            GATEWAY, group, verb, *words, "--database", str(self.database), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        self.changes += 1
        if process.returncode != 0:
            self.wrong.append(f"gguf-gateway {group} {verb} failed with status {process.returncode}")
        return said

    async def _wait(self, seconds: float) -> bool:
        """Wait so long, or until it is over; whether it is."""
        try:
            async with asyncio.timeout(seconds):
                return await self.over.wait()
        except TimeoutError:
            return False
