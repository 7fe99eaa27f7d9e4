"""What an operation is, and how one is done: permission, transaction, function."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel

from gateway.team.actor import Actor
from gateway.team.unit_of_work import TeamDatabase, UnitOfWork


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table. `name` is also the action that `roles.PERMISSIONS` decides on.

    `run` is called with a unit of work, the values of `{...}` in `path` in their order, and the `request`, if the
    operation takes one: a JSON body, or the query of a GET. `scoped_as` is there where its scope is not named by the
    first part of its name.
    """

    name: str
    method: str
    path: str
    summary: str
    run: Callable[..., Awaitable[BaseModel]]
    result: type[BaseModel]
    request: type[BaseModel] | None = None
    status: int = 200
    scoped_as: str = ""

    @property
    def kind(self) -> str:
        """What it is done with: `keys` of `keys.create`."""
        return self.name.partition(".")[0]

    @property
    def scope(self) -> str:
        """What a token needs for it."""
        return f"{self.scoped_as or self.kind}:{'read' if self.is_read else 'write'}"

    @property
    def is_versioned(self) -> bool:
        """Whether its result has a `version`; then a change may name the one it expects."""
        return "version" in self.result.model_fields

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


@dataclass(frozen=True, slots=True)
class Call:
    """An operation with what it is asked to do. `expected_version` is that of the thing as its caller last saw it."""

    operation: Operation
    ids: tuple[str, ...] = ()
    request: BaseModel | None = None
    expected_version: int | None = None


async def perform(database: TeamDatabase, actor: Actor, call: Call) -> BaseModel:
    """Do it, all or nothing, if the actor may. Raises OperationError, and SourceError for a database that fails."""
    require_permission(actor, call.operation)
    if call.operation.is_read:
        async with database.read(actor) as unit:
            return await run(unit, call)
    async with database.change(actor, call.expected_version) as unit:
        return await run(unit, call)


def require_permission(actor: Actor, operation: Operation) -> None:
    """Raise Denied unless the actor's role and scopes let it do this at all."""
    actor.require_scope(operation.scope)
    actor.reach(operation.name)


async def run(unit: UnitOfWork, call: Call) -> BaseModel:
    """Do it within a unit of work that is open already; the permission has been looked at."""
    takes = call.operation.request
    arguments = call.ids if takes is None else (*call.ids, call.request or takes())
    return await call.operation.run(unit, *arguments)
