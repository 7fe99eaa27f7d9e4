"""What the lines of several processes tell the arbiter that they share, and what it makes of that."""

from functools import partial

import pytest

from gateway.core.deployment import Deployment
from gateway.proxy.queue.arbiter import Arbiter
from gateway.proxy.queue.deployment_line import DeploymentLine, Place
from gateway.proxy.queue.lines import Hear, Lines
from tests.harness.pools import SOMEBODY

DEPLOYMENT = Deployment("demo", "acme", "http://127.0.0.1:1")


class Workers:
    """So many processes that serve one deployment, each with its lines, and the arbiter of all."""

    def __init__(self, size: int) -> None:
        self.arbiter = Arbiter(size, lambda member, message: self._hears[member](message))
        self._hears: dict[object, Hear] = {}
        self.lines = [self.begin(number) for number in range(size)]

    def begin(self, number: int) -> Lines:
        """A process, the first of this number or the one that follows it."""
        return Lines(partial(self._connect, number))

    def _connect(self, number: int, hear: Hear) -> Hear:
        self._hears[number] = hear
        return partial(self.arbiter.hear, number)


def taken(line: DeploymentLine) -> list[Place]:
    """All places that it may take by itself."""
    return list(iter(partial(line.take, SOMEBODY), None))


@pytest.fixture
def workers() -> Workers:
    return Workers(2)


def test_a_worker_that_starts_again_leaves_the_places_that_are_known(workers: Workers) -> None:
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, 4)
    workers.arbiter.forget(1)
    again = workers.begin(1)
    first, second = workers.lines[0].of(DEPLOYMENT), again.of(DEPLOYMENT)
    assert (len(taken(first)), len(taken(second))) == (2, 2)


def test_a_server_that_says_nothing_of_its_slots_has_the_usual_places(workers: Workers) -> None:
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, 4)
    for lines in workers.lines:
        lines.note_slots(DEPLOYMENT, None)
    assert sum(len(taken(lines.of(DEPLOYMENT))) for lines in workers.lines) == 256
