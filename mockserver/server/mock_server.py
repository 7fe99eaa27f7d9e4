"""The mock as an object: start it, change its state, ask what it received. In this loop or beside it."""

from dataclasses import replace
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from mockserver.core.aiohttp_internals import warn_of_shortcomings
from mockserver.core.clock import Clock
from mockserver.core.listening.listener import Listener
from mockserver.core.listening.port import Port
from mockserver.core.options import BUILD_INFO, Options
from mockserver.core.state import Phase, Seconds, State, StateName, state_named
from mockserver.core.virtual_clock import VirtualClock
from mockserver.engine.canned_answers import CannedAnswers
from mockserver.play.control.control_api import create_control_app
from mockserver.play.control.control_script_api import add_script_routes
from mockserver.play.faults import Faults
from mockserver.play.har import as_har
from mockserver.play.journal import EndName, JournalEntry, JournalFilter
from mockserver.play.life_cycle import LifeCycle
from mockserver.play.mock_context import MockContext
from mockserver.server.app import create_app
from mockserver.server.background_thread import BackgroundMock
from mockserver.server.option_keywords import OptionKeywords, options_of

if TYPE_CHECKING:
    from mockserver.play.scenario import Scenario
    from mockserver.play.scenario_player import ScenarioPlayer


class MockLlamaServer:
    """A llama-server double. `async with MockLlamaServer(slots=1) as mock:` runs it in this event loop,
    `with MockLlamaServer(...) as mock:` in a thread of its own (see `BackgroundMock`).

    The keyword arguments are the fields of `Options`. Port 0 takes any free port. `held` is a port to serve on that
    was bound before. Raises TypeError or ValueError for an option, and PortTaken at start.
    """

    def __init__(
        self, options: Options | None = None, *, held: Port | None = None, **given: Unpack[OptionKeywords]
    ) -> None:
        self.options = options or options_of(given)
        self._scenario = self._load_scenario()
        self.clock = VirtualClock() if self.options.clock == "virtual" else Clock()
        self._context = MockContext(self.options, self.clock)
        self.journal, self.server_context = self._context.journal, self._context.server_context
        self._context.load_rules()
        self._listener = Listener(create_app(self._context), held or Port(self.options.host, self.options.port))
        self._life_cycle = LifeCycle(self._context, self._listener, self.options)
        hosts = self.options.host.split(",")
        control = create_control_app(self, (*hosts, *self.options.control_names))
        add_script_routes(control, self)
        control_host = "127.0.0.1" if hosts[0].endswith(".sock") else hosts[0]
        self._control_listener = Listener(control, Port(control_host, self.options.control_port))
        self.scenario_player: ScenarioPlayer | None = None
        self._background: BackgroundMock | None = None
        self._has_served = False

    def _load_scenario(self) -> "Scenario | None":
        """The scenario of the options, whose clock and seed are taken over. Raises BadRule."""
        if not self.options.scenario:
            return None
        from mockserver.play.scenario import load

        scenario = load(self.options.scenario)
        start = self.options
        seed = start.seed if scenario.seed is None else scenario.seed
        self.options = replace(start, clock=scenario.clock or start.clock, seed=seed)
        return scenario

    async def start(self) -> None:
        """Bind both ports and begin with the first state; raises PortTaken, and RuntimeError the second time."""
        self._refuse_to_serve_again()
        self._has_served = True
        warn_of_shortcomings()
        try:
            self._listener.hold()
            await self._control_listener.open()
            if self._scenario is None or not self._scenario.begins_with_a_state:
                await self.set_state(self.options.state)
            if self._scenario is not None:
                await self.play(self._scenario)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut every connection and give both ports back."""
        await self.stop_playing()
        await self._life_cycle.stop()
        self._context.close_running_as_cut()
        await self._listener.release()
        await self._control_listener.release()

    async def drain(self) -> None:
        """Stop as llama-server does on SIGTERM, and return when no client is left: no connection is taken any more, the
        model stands still, streams are cut behind their next ping, and all else waits until its client leaves.
        """
        await self.stop_playing()
        await self._life_cycle.stop()
        self._context.is_stopping = True
        self.server_context.stop()
        await self._listener.drain()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _refuse_to_serve_again(self) -> None:
        if self._has_served:
            raise RuntimeError("A MockLlamaServer serves once; make another one.")

    def __enter__(self) -> BackgroundMock:
        self._refuse_to_serve_again()
        self._background = BackgroundMock(self)
        self._background.start()
        return self._background

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            self._background.stop()

    @property
    def url(self) -> str:
        """Base URL of the model port, e.g. `http://127.0.0.1:41234`; known after the start, in every state."""
        return self._listener.url

    @property
    def port(self) -> int:
        """Number of the model port."""
        return self._listener.port

    @property
    def control_url(self) -> str:
        """Base URL of the control port, which is open in every state."""
        return self._control_listener.url

    @property
    def state(self) -> State:
        """What it plays now."""
        return self._context.step.state

    @property
    def phase(self) -> Phase:
        """What a client meets now: down, loading, hung or up."""
        return self._context.step.phase

    @property
    def requests(self) -> list[JournalEntry]:
        """What it received, oldest first."""
        return list(self.journal)

    @property
    def faults(self) -> Faults:
        """Its faults: `faults.add("503", times=2)`, `faults.clear()`."""
        return self._context.faults

    @property
    def answers(self) -> CannedAnswers:
        """Its canned answers: `answers.add("Hello.", when={"contains": "hi"})`, `answers.clear()`."""
        return self._context.answers

    def har(self) -> dict[str, Any]:
        """What it received and answered as HAR 1.2, keys masked."""
        return as_har(self.journal, BUILD_INFO)

    def describe(self) -> dict[str, Any]:
        """The state as the control API shows it."""
        return self._context.describe()

    async def set_state(
        self,
        state: StateName,
        *,
        load_seconds: Seconds = ...,
        down_seconds: Seconds = ...,
        up_seconds: Seconds = ...,
        wake_seconds: float | EllipsisType = ...,
        exit_code: int | None = None,
    ) -> None:
        """Play a state; durations not given are those of the start, `None` means until told otherwise. `exit_code` is
        what a crashed process really ends with.

        Returns when the port is really open or closed. Raises ValueError for an unknown state.
        """
        durations = self._life_cycle.durations(load_seconds, down_seconds, up_seconds, wake_seconds)
        await self._life_cycle.set_state(state, durations, exit_code)

    async def play(self, scenario: Any) -> None:
        """Play a scenario (a file's path, or what stands in one) from now on, in place of the one before.

        Returns when its first state is on the wire. Raises BadRule (a ValueError) naming what is wrong with it.
        """
        from mockserver.play.scenario import load
        from mockserver.play.scenario_player import ScenarioPlayer

        scenario_player = ScenarioPlayer(load(scenario), self._context, self.set_state)
        await self.stop_playing()
        self.scenario_player = scenario_player
        await scenario_player.start()

    async def stop_playing(self) -> None:
        """Take no further step of the scenario."""
        if self.scenario_player is not None:
            await self.scenario_player.stop()
            self.scenario_player = None

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and return when all that happens in it has happened. Raises ValueError."""
        await self.clock.advance(seconds)

    async def wait_for_exit(self) -> int:
        """Return the exit code once the mock has crashed with one."""
        await self._life_cycle.exited.wait()
        if self.clock.is_virtual:
            await self.clock.advance(0)  # whoever advanced the clock to here gets the answer first
        return self._life_cycle.exit_code or 0

    async def wait_for_state(self, state: StateName, timeout: float = 5.0) -> None:
        """Return once the state is reached. Raises NotInTime, which says what was played meanwhile."""
        await self._context.wait_for_state(state_named(state), timeout)

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
        """Return once `count` exchanges match. `after` is an id; `probes`: those of `/health` and `/props` count, too.

        Raises NotInTime, which lists what was received.
        """
        return await self.journal.wait(JournalFilter(ended, method, path, status, after, probes), count, timeout)

    async def reset(self) -> None:
        """Ready, nothing received, no scenario; faults and canned answers are those of the options."""
        await self.stop_playing()
        self._context.reset_rules()
        if self.state is not State.READY:
            await self.set_state("ready")
        self.journal.clear()

    async def clear_requests(self) -> None:
        """Forget what was received."""
        self.journal.clear()
