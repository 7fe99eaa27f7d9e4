"""A scenario being played: each entry of its timeline at its time, on the mock's clock."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from mockserver.play.mock_context import MockContext
from mockserver.play.scenario import Scenario, TimelineEntry, answers_of, faults_of

SetState = Callable[..., Awaitable[None]]


class ScenarioPlayer:
    """Plays one scenario. The faults and answers that it added stay when it is over."""

    def __init__(self, scenario: Scenario, context: MockContext, set_state: SetState) -> None:
        self.scenario = scenario
        self._context, self._set_state = context, set_state
        self._started_at = context.clock.now()
        self._done = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Play what comes at 0 s, and go on with the rest; returns when the first state is on the wire."""
        entries = self.scenario.entries()
        later = [entry for entry in entries if entry.at > 0]
        for entry in entries[: len(entries) - len(later)]:
            await self._play(entry)
        self._task = asyncio.create_task(self._play_later(later))

    async def stop(self) -> None:
        """Play nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def as_json(self) -> dict[str, Any]:
        """How far it is."""
        at = self._context.clock.now() - self._started_at
        steps = len(self.scenario.timeline)
        return {"at": round(at, 3), "done": min(self._done, steps), "of": steps}

    async def _play_later(self, entries: list[TimelineEntry]) -> None:
        for entry in entries:
            await self._context.clock.sleep_until(self._started_at + entry.at)
            await self._play(entry)

    async def _play(self, entry: TimelineEntry) -> None:
        for fault in faults_of(entry.faults):
            self._context.faults.add(fault)
        for answer in reversed(answers_of(entry.answers)):
            self._context.answers.add(answer)
        if entry.state is not None:
            await self._set_state(entry.state.value, exit_code=entry.exit_code, **entry.durations())
        self._done += any(entry is planned for planned in self.scenario.timeline)
