"""The life cycle: the states a mock plays, and the steps each of them takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import EllipsisType
from typing import Literal


class State(StrEnum):
    """What the mock plays. A state that ends by itself ends in `ready`."""

    READY = "ready"
    DEPLOYING = "deploying"
    PAUSED = "paused"
    RESTARTING = "restarting"
    CRASHED = "crashed"
    HUNG = "hung"
    SLEEPING = "sleeping"
    WAKING = "waking"


StateName = State | Literal["ready", "deploying", "paused", "restarting", "crashed", "hung", "sleeping", "waking"]
"""A state, or its name: type checkers and editors know which there are."""


def state_named(name: str) -> State:
    """The state of this name. Raises ValueError with all names there are."""
    if name not in list(State):
        raise ValueError(f"there is no state {name!r}; there are {', '.join(State)}")
    return State(name)


class Phase(StrEnum):
    """What a client meets: a closed port, 503 `Loading model`, an open port and no word, or a model that answers."""

    DOWN = "down"
    LOADING = "loading"
    HUNG = "hung"
    UP = "up"


Seconds = float | None | EllipsisType
"""A duration as it is given: `None` lasts until told otherwise, `...` is as at the start."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of the phases; `None` lasts until another state is set (for `up`: no repeat)."""

    load: float | None = 2.0
    down: float | None = 2.0
    up: float | None = None
    wake: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One leg of a state's course."""

    state: State
    phase: Phase
    seconds: float | None


_FOR_GOOD = {
    State.PAUSED: Phase.DOWN,
    State.CRASHED: Phase.DOWN,
    State.HUNG: Phase.HUNG,
    State.SLEEPING: Phase.UP,
}

CLOSED = frozenset((State.PAUSED, State.RESTARTING, State.CRASHED))
"""The states that begin with a closed port."""


def steps_of(state: State, durations: Durations) -> Iterator[Step]:
    """The steps of a state in order; the last one has no end. `restarting` with `up` repeats for ever."""
    if state in _FOR_GOOD:
        yield Step(state, _FOR_GOOD[state], None)
        return
    while state is State.RESTARTING:
        yield Step(state, Phase.DOWN, durations.down)
        yield Step(state, Phase.LOADING, durations.load)
        if durations.up is None:
            break
        yield Step(state, Phase.UP, durations.up)
    if state is State.DEPLOYING:
        yield Step(state, Phase.LOADING, durations.load)
    if state is State.WAKING:
        yield Step(state, Phase.UP, durations.wake)
    yield Step(State.READY, Phase.UP, None)
