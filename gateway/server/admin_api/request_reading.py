"""What a request to the admin API says, as an operation's models. Everything that is wrong with it is named at once."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import unquote

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from gateway.config.validation_messages import sentences
from gateway.core import team_errors
from gateway.core.errors import Refusal
from gateway.server.media_types import media_type
from gateway.team.operation_error import FieldError, Invalid, NotFound
from gateway.team.operations.operation import Operation

VERSION = r'"([1-9][0-9]{0,9})"'  # an ETag
_VERSION = re.compile(VERSION).fullmatch
_JSON = "application/json"
_NONE_OF_OURS = "The body is not one that any request here has."
_NUMBERS = {"limit", "top"}  # in a query
_MOST_VALUES = 2000  # in a body, the longest list here has 1000: to name what is wrong with each takes its time


def read_request(request: web.Request, operation: Operation, body: bytes) -> BaseModel | None:
    """The operation's request: of a GET its query, else its JSON body, which may be left out where nothing is required.

    Raises Invalid, and Refusal for a body that is not JSON.
    """
    if operation.is_read or operation.request is None:
        query = _query(request)
        if operation.request is None:
            _require_nothing(query, body)
            return None
        return _checked(operation.request, lambda model: model.model_validate(query))
    if not body:
        return _checked(operation.request, lambda model: model())
    if media_type(request).type != _JSON:
        raise Refusal(team_errors.NOT_JSON)
    if body.count(b",") > _MOST_VALUES:
        raise Invalid(_NONE_OF_OURS)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The body is not valid JSON: line {error.lineno}, column {error.colno}.") from None
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    _require_each_once(body)
    return _checked(operation.request, lambda model: model.model_validate_json(body, strict=True))


def ids_of(parts: Sequence[str]) -> tuple[str, ...]:
    """The ids in a path. Raises NotFound for what no id can be."""
    found = tuple(unquote(part) for part in parts)
    if not all(one.isprintable() and len(one) <= 64 for one in found):
        raise NotFound("There is nothing of this id.")
    return found


def expected_version(request: web.Request, operation: Operation) -> int | None:
    """The version that `If-Match` names (RFC 9110 13.1.1); None where it names none, or `*`. Raises Invalid."""
    asked = request.headers.get(hdrs.IF_MATCH, "*").strip()
    if asked == "*" or not operation.is_versioned or operation.is_read:
        return None
    match = _VERSION(asked)
    if match is None:
        sentence = "If-Match names a version that never was: give the ETag as it came, in its quotes."
        raise Invalid(sentence, [FieldError(hdrs.IF_MATCH, "is neither an ETag of ours nor `*`")])
    return int(match[1])


def _query(request: web.Request) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in request.query.items():
        if name in found:
            raise Invalid("The query names a field twice.", [FieldError(name, "is named twice")])
        found[name] = int(value) if name in _NUMBERS and re.fullmatch("-?[0-9]{1,9}", value) else value
    return found


def _require_each_once(body: bytes) -> None:
    """Raise Invalid for a field that is there twice: parsers disagree on which counts (RFC 8259 4)."""

    def noted(pairs: list[tuple[str, object]]) -> None:
        twice = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        if twice:
            raise Invalid("The body names a field twice.", [FieldError(name, "is named twice") for name in twice])

    try:
        json.loads(body, object_pairs_hook=noted)
    except (ValueError, RecursionError):  # of a huge number, or of many levels: no field of ours has either
        raise Invalid(_NONE_OF_OURS) from None


def _require_nothing(query: dict[str, object], body: bytes) -> None:
    if query:
        raise Invalid("This takes no query.", [FieldError(name, "unknown field") for name in query])
    if body.strip() not in {b"", b"{}"}:
        raise Invalid("This takes no body.")


def _checked(model: type[BaseModel], make: Callable[[type[BaseModel]], BaseModel]) -> BaseModel:
    try:
        return make(model)
    except ValidationError as error:
        found = [FieldError(".".join(map(str, path)), text) for path, text in sentences(error, model)]
        raise Invalid("The request is not valid.", found) from None
