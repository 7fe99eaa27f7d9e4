"""The OpenAPI 3.1 description of the admin API, made of the same models that validate."""

import json
import re
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from gateway import __version__
from gateway.server.admin_api.event_stream import ACTION, EVENTS_PATH, LAST_EVENT_ID, SCOPE
from gateway.server.admin_api.request_reading import VERSION
from gateway.team.operations.operation import Operation
from gateway.team.operations.table import OPERATIONS
from gateway.team.scopes import SCOPES

_REFERENCE = "#/components/schemas/"
_IDS = re.compile(r"\{([a-z]+)\}")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
        "errors": {
            "type": "array",
            "description": "What is wrong with each field of a request that is not valid.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_IF_MATCH = {"type": "string", "pattern": rf"^({VERSION}|\*)$"}
_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_REFUSALS = {
    "400": "The request is not one that can be read.",
    "401": "No valid admin token, and no session.",
    "403": "The token lacks the scope of this operation, or the person's role does not allow it.",
    "404": "There is no such thing within reach.",
    "408": "The body did not arrive in time.",
    "409": "It contradicts what there is now, or the Idempotency-Key was used for another request.",
    "412": "It was changed since the version that If-Match names.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "422": "A field is not valid: `errors` names each.",
    "503": "The database cannot be used right now.",
}
_HEADERS = (
    ("401", "WWW-Authenticate", "`Bearer`."),
    ("403", "WWW-Authenticate", "For a token, the scope that it lacks (RFC 6750 3)."),
    ("503", "Retry-After", "Seconds."),
)


@cache
def description_as_json() -> str:
    """The whole document. To make it takes 40 ms."""
    return json.dumps(description())


@cache
def description() -> dict[str, Any]:
    """The whole document, as plain values."""
    schemas, definitions = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gguf-gateway admin API",
            "version": __version__,
            "description": "What a team does with its accounts, people, keys, tokens and deployments. Every change is "
            "in force in every process within a second, and in the audit log.",
        },
        "servers": [{"url": "/api/admin/v1"}],
        "security": [{"token": []}],
        "paths": {**paths, EVENTS_PATH: {"get": _events()}},
        "components": {
            "schemas": {**definitions, "Error": _ERROR},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An admin token, `gwa_…`. Its scopes are of: {', '.join(SCOPES)}.",
                }
            },
        },
    }


Key = tuple[type[BaseModel], JsonSchemaMode]


def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    wanted: list[Key] = []
    for operation in OPERATIONS.values():
        wanted.append((operation.result, "serialization"))
        if operation.request is not None:
            wanted.append((operation.request, "validation"))
    made, top = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REFERENCE + "{model}")
    return dict(made), top.get("$defs", {})


def _operation(operation: Operation, schemas: dict[Key, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.kind],
        "summary": operation.summary,
        "x-required-scope": operation.scope,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_headers(operation)],
        "responses": {str(operation.status): _success(operation, schemas), **_refusals()},
    }
    if operation.request is not None and not operation.is_read:
        schema = schemas[operation.request, "validation"]
        is_required = any(field.is_required() for field in operation.request.model_fields.values())
        said["requestBody"] = {"required": is_required, "content": {"application/json": {"schema": schema}}}
    return said


def _events() -> dict[str, Any]:
    text = "The `id` of the last event that was seen: what came after it is told first."
    schema = {"type": "string", "pattern": "^[0-9]{1,18}$"}
    refusals = {status: said for status, said in _refusals().items() if status in {"401", "403", "409", "422", "503"}}
    return {
        "operationId": ACTION,
        "tags": ["events"],
        "summary": "Follow every change, and every change of readiness, as server-sent events.",
        "description": "`change` has a row of the audit log as its data; `before`, `after` and `address` are null for "
        "who may not read that. `readiness` has `deployment` and `readiness`: each deployment's at first, then what "
        "is different, and null for one that is gone.",
        "x-required-scope": SCOPE,
        "parameters": [{"name": LAST_EVENT_ID, "in": "header", "description": text, "schema": schema}],
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **refusals,
        },
    }


def _success(operation: Operation, schemas: dict[Key, Any]) -> dict[str, Any]:
    if operation.status == 204:
        return {"description": "It is done."}
    schema = schemas[operation.result, "serialization"]
    found: dict[str, Any] = {"description": "It is done.", "content": {"application/json": {"schema": schema}}}
    headers = {}
    if operation.is_versioned:
        headers["ETag"] = {"description": "The version, for If-Match.", "schema": {"type": "string"}}
    if operation.method == "POST":
        text = "`true` where this is the answer to an earlier request with the same Idempotency-Key."
        headers["Idempotent-Replayed"] = {"description": text, "schema": {"type": "string"}}
    return found | ({"headers": headers} if headers else {})


def _refusals() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REFERENCE + "Error"}}}
    found: dict[str, Any] = {status: {"description": why, "content": content} for status, why in _REFUSALS.items()}
    for status, name, text in _HEADERS:
        found[status]["headers"] = {name: {"description": text, "schema": {"type": "string"}}}
    return found


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": _ID} for name in _IDS.findall(operation.path)]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.request is None or not operation.is_read:
        return []
    schema = operation.request.model_json_schema(ref_template=_REFERENCE + "{model}")
    return [
        {"name": name, "in": "query", "description": one.get("description", ""), "schema": _plain(one)}
        for name, one in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null, which a query cannot say."""
    kinds = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    return {name: value for name, value in (kinds[0] if kinds else schema).items() if name not in {"title", "default"}}


def _headers(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.is_versioned and not operation.is_read and operation.name.rpartition(".")[2] != "create":
        text = "The ETag that the change is based on: 412 if it was changed since."
        found.append({"name": "If-Match", "in": "header", "description": text, "schema": _IF_MATCH})
    if operation.method == "POST":
        text = "A repeated request with the same key, within a day, does nothing twice and gets the first one's answer."
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append({"name": "Idempotency-Key", "in": "header", "description": text, "schema": schema})
    return found
