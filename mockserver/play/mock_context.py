"""What the ports of one mock share: the server context, the journal, the rules, and the step of the life cycle."""

import asyncio
from typing import Any

from aiohttp import web

from mockserver.core.clock import Clock, NotInTime
from mockserver.core.options import Options
from mockserver.core.state import Phase, State, Step
from mockserver.engine.canned_answers import CannedAnswers
from mockserver.engine.server_context import ServerContext
from mockserver.play.answer_files import AnswerFiles
from mockserver.play.faults import Faults
from mockserver.play.journal import ExchangeEnd, Journal, JournalFilter

_STEPS_TOLD = 8  # of those that were played while a state was waited for in vain


class MockContext:
    """The parts of one mock that its ports share. `changed` is set, and replaced, at every step; `is_stopping`: the
    process was told to end, and waits for its clients.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.clock = clock
        self.server_context = ServerContext(options, clock)
        limits = (options.journal_entries, options.journal_body_bytes, options.journal_bytes)
        self.journal = Journal(*limits, clock, secrets=options.journal_secrets)
        self.faults = Faults()
        self._answers = CannedAnswers()
        self._answer_files = AnswerFiles(options.answers, self._answers)
        self.step = Step(State(options.state), Phase.DOWN, None)
        self.changed = asyncio.Event()
        self.is_stopping = False
        self._since = self._step_since = clock.now()

    @property
    def answers(self) -> CannedAnswers:
        """The canned answers; those of files as the files are now."""
        self._answer_files.follow()
        return self._answers

    def reset_rules(self) -> None:
        """Forget all faults and canned answers but those of the options, whose counts begin anew."""
        self.faults.clear()
        self._answers.clear()
        self._answer_files.restore()
        self._arm_faults()

    def load_rules(self) -> None:
        """Add the faults and the canned answers of the options. Raises BadRule."""
        self._answer_files.load()
        self._arm_faults()

    def _arm_faults(self) -> None:
        for line in self.server_context.options.faults:
            self.faults.add(line)

    def enter(self, step: Step, *, anew: bool = False) -> None:
        """Go on to a step; `anew`: of a state that was set, even if it is the same as before."""
        self._step_since = self.clock.now()
        if anew or step.state is not self.step.state:
            self._since = self._step_since
        self.step = step
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait_for_state(self, wanted: State, timeout: float) -> None:
        """Return once the state is reached. After `timeout` seconds raises NotInTime, which says what was played."""
        played = [self.step]
        try:
            async with asyncio.timeout(timeout):
                while self.step.state is not wanted:
                    await self.changed.wait()
                    played.append(self.step)
        except TimeoutError:
            was = ", then ".join(f"{step.state} ({step.phase})" for step in played[-_STEPS_TOLD:])
            raise NotInTime(f"the mock is not {wanted} after {timeout:g} s: it was {was}.") from None

    async def wait_while_hung(self) -> None:
        """Wait as long as the mock plays `hung`."""
        while self.step.phase is Phase.HUNG:
            await self.changed.wait()

    def close_running_as_cut(self) -> None:
        """Note that the mock itself cuts the running exchanges, before their connections close."""
        for entry in self.journal.matching(JournalFilter(ended=ExchangeEnd.RUNNING)):
            entry.close(ExchangeEnd.CUT)
        self.journal.notify()

    def describe(self) -> dict[str, Any]:
        """The state as the control API shows it; while loading, with how much of it is done, from 0 to 1."""
        now, step = self.clock.now(), self.step
        shown: dict[str, Any] = {"state": step.state.value, "phase": step.phase.value}
        shown["since_seconds"] = round(now - self._since, 3)
        if step.phase is Phase.LOADING and step.seconds is not None:
            done = (now - self._step_since) / step.seconds if step.seconds else 1.0
            shown["progress"] = round(min(1.0, done), 3)
        return shown


MOCK_CONTEXT = web.AppKey("mock_context", MockContext)
