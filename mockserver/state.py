"""The life cycle: the states a mock plays, and the steps each of them takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What the mock plays. A state that ends by itself ends in `ready`."""

    READY = "ready"
    DEPLOYING = "deploying"
    PAUSED = "paused"
    RESTARTING = "restarting"
    CRASHED = "crashed"


class Phase(StrEnum):
    """What a client meets: a closed port, 503 `Loading model`, or a model that answers."""

    DOWN = "down"
    LOADING = "loading"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds of the phases; `None` lasts until another state is set (for `up`: no repeat)."""

    load: float | None = 2.0
    down: float | None = 2.0
    up: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One leg of a state's course."""

    state: State
    phase: Phase
    seconds: float | None


def course(state: State, durations: Durations) -> Iterator[Step]:
    """The steps of a state in order; the last one has no end. `restarting` with `up` repeats for ever."""
    if state in (State.PAUSED, State.CRASHED):
        yield Step(state, Phase.DOWN, None)
        return
    while state is State.RESTARTING:
        yield Step(state, Phase.DOWN, durations.down)
        yield Step(state, Phase.LOADING, durations.load)
        if durations.up is None:
            break
        yield Step(state, Phase.UP, durations.up)
    if state is State.DEPLOYING:
        yield Step(state, Phase.LOADING, durations.load)
    yield Step(State.READY, Phase.UP, None)
