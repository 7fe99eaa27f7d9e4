"""How a page does one of the team's operations."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web
from multidict import MultiDictProxy
from pydantic import BaseModel, ValidationError

from gateway.config.validation_messages import sentences
from gateway.server.admission import REGISTRY
from gateway.server.pages.layout import database_of
from gateway.team.actor import Actor
from gateway.team.operation_error import FieldError, Invalid, OperationError, Stale
from gateway.team.operations.operation import Call, perform
from gateway.team.operations.table import OPERATIONS

T = TypeVar("T", bound=BaseModel)


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
    database = await database_of(request)
    result = await perform(database, actor, Call(operation, ids, asked, expected_version))
    if not operation.is_read:
        request.app[REGISTRY].look_soon()
    return result


def read_form(model: type[T], values: Mapping[str, object]) -> T:
    """What a form asks for, as the operation takes it. Raises Invalid, with what is wrong with each field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [FieldError(_field_name(path), text) for path, text in sentences(error, model)]
        raise Invalid("This cannot be done as it is written.", found) from None


def _field_name(path: Sequence[str | int]) -> str:
    """As people count: `networks.1` of a list is its number 2."""
    name = ".".join(str(part) for part in path if isinstance(part, str))
    numbers = [f"number {part + 1}" for part in path if isinstance(part, int)]
    return ", ".join([name, *numbers])


def words_of(error: OperationError | None) -> str:
    """What a page with a form says of a change that was not made."""
    if isinstance(error, Stale):
        return (
            "Somebody else has changed this since you opened the page. What you typed is kept; where what is stored "
            "now is another value, it stands beside yours. Save again to put yours in its place."
        )
    return "" if error is None else error.message


def text_of(form: MultiDictProxy[Any], name: str) -> str:
    """A field of a form, without the blanks around it."""
    return str(form.get(name, "")).strip()


def version_of(form: MultiDictProxy[Any]) -> int | None:
    """The version of the thing that a form was made for."""
    text = str(form.get("version", ""))
    return int(text) if text.isdecimal() and len(text) < 10 else None
