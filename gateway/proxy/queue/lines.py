"""The lines of all deployments in this process, and its way to the arbiter: here, or in the supervisor of workers."""

from collections import defaultdict, deque
from collections.abc import Callable, Container
from functools import partial

from gateway.core import errors
from gateway.core.deployment import Deployment
from gateway.core.errors import Refusal
from gateway.proxy.queue.arbiter import UNKNOWN_SLOTS, Arbiter, Message
from gateway.proxy.queue.deployment_line import DeploymentLine

Deliver = Callable[[Message], None]  # to the arbiter, or from it
_REMOVED = partial(Refusal, errors.NO_DEPLOYMENT, cause="the deployment was removed")


class Lines:
    """One for each server that a deployment has had, made when first asked for.

    What runs at a server that it has no longer takes no place at the one that it has now. A deployment that is removed
    has its line while answers run there: it may be added again meanwhile, and its server has those slots in use.
    `connect` is given what delivers the arbiter's messages here, and returns what delivers ours to the arbiter.
    """

    def __init__(self, connect: Callable[[Deliver], Deliver] | None = None) -> None:
        self._lines: dict[str, DeploymentLine] = {}
        self._lines_of: defaultdict[str, list[DeploymentLine]] = defaultdict(list)  # each deployment
        self._settings: dict[str, tuple[int | None, int, float]] = {}
        self._slots: dict[str, int] = {}
        self._tell = (connect or _arbiter_here)(self._hear)

    def of(self, deployment: Deployment) -> DeploymentLine:
        """The line of this deployment, as it is set now."""
        name, limits = _name_of(deployment), deployment.limits
        line = self._lines.get(name) or self._open(name, deployment.id)
        settings = (limits.connections or self._slots.get(name), limits.waiting, deployment.timeouts.longest_wait)
        if self._settings.get(name) != settings:
            self._settings[name] = settings
            line.configure(*settings)
        return line

    def note_slots(self, deployment: Deployment, slots: int | None) -> None:
        """Its server has so many slots; None: it does not say."""
        self._slots[_name_of(deployment)] = slots or UNKNOWN_SLOTS
        self.of(deployment)

    def turn_away(self, deployment_id: str, refusal: Callable[[], Refusal]) -> None:
        """Refuse all who wait for a server of this deployment, those that it has no longer among them."""
        for line in self._lines_of.get(deployment_id, ()):
            line.turn_away(refusal)

    def keep_only(self, deployment_ids: Container[str]) -> None:
        """All other deployments are gone: refuse who waits there, and close each line in which nothing runs."""
        for deployment_id in [each for each in self._lines_of if each not in deployment_ids]:
            self.turn_away(deployment_id, _REMOVED)
            self._close_unused(deployment_id)

    def _open(self, name: str, deployment_id: str) -> DeploymentLine:
        """The line of a server that is new to its deployment. Those that are not used any more are closed."""
        self._close_unused(deployment_id)
        line = self._lines[name] = DeploymentLine(name, self._tell)
        self._lines_of[deployment_id].append(line)
        return line

    def _close_unused(self, deployment_id: str) -> None:
        lines = self._lines_of[deployment_id]
        for line in [each for each in lines if not each.in_use and not each.waiting]:
            lines.remove(line)
            self._close(line)
        if not lines:
            del self._lines_of[deployment_id]

    def _close(self, line: DeploymentLine) -> None:
        del self._lines[line.name]
        self._settings.pop(line.name, None)
        self._slots.pop(line.name, None)
        line.close()

    def _hear(self, message: Message) -> None:
        word, name, *more = message
        line = self._lines.get(name)
        if line is not None:
            line.hear(word, *more)


def _name_of(deployment: Deployment) -> str:
    """By which all processes know the line; an id has no space."""
    return f"{deployment.id} {deployment.upstream}"


def _arbiter_here(to_lines: Deliver) -> Deliver:
    """An arbiter in this very process. What is said while a message is delivered is delivered after it."""
    posted: deque[tuple[Deliver, Message]] = deque()
    is_delivering = False

    def post(deliver: Deliver, message: Message) -> None:
        nonlocal is_delivering
        posted.append((deliver, message))
        if is_delivering:
            return
        is_delivering = True
        try:
            while posted:
                deliver_next, following = posted.popleft()
                deliver_next(following)
        finally:
            is_delivering = False

    arbiter = Arbiter(1, lambda _, message: post(to_lines, message))

    def to_arbiter(message: Message) -> None:
        arbiter.hear(0, message)

    return lambda message: post(to_arbiter, message)
