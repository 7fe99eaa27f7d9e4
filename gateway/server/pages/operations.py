"""How a page does one of the team's operations."""

from typing import Any

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import BaseModel

from gateway.server.admission import REGISTRY
from gateway.server.team_database import TEAM
from gateway.team.actor import Actor
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.table import OPERATIONS


async def do(
    request: web.Request,
    actor: Actor,
    name: str,
    *ids: str,
    asked: BaseModel | None = None,
    expected_version: int | None = None,
) -> Any:
    """The result of an operation, by its name. Raises OperationError, and SourceError."""
    operation = OPERATIONS[name]
    database = await request.app[TEAM].database()
    result = await perform(database, actor, Call(operation, ids, asked, expected_version))
    if not operation.is_read:
        request.app[REGISTRY].look_soon()
    return result


def version_of(form: MultiDictProxy[Any]) -> int | None:
    """The version of the thing that a form was made for."""
    text = str(form.get("version", ""))
    return int(text) if text.isdecimal() and len(text) < 10 else None
