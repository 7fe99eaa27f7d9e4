"""A JSON schema read into nodes; what llama.cpp does not understand of it is refused with its own complaint.

Mirrors common/json-schema.cpp.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mockserver.core.json_values import as_int, is_integer

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class BadSchema(ValueError):
    """A schema that cannot be followed; the message is llama.cpp's."""


@dataclass(slots=True)
class AnyValue:
    """Every JSON value."""


@dataclass(slots=True)
class Reference:
    """Another part of the same document. The target is known once the whole document is read."""

    name: str
    target: "Schema | None" = None


@dataclass(slots=True)
class AnyOf:
    """One of several."""

    children: list["Schema"]


@dataclass(slots=True)
class AllOf:
    """All of several at once."""

    children: list["Schema"]


@dataclass(slots=True)
class Constant:
    """One value."""

    value: Any


@dataclass(slots=True)
class Enumeration:
    """One of these values."""

    values: list[Any]


@dataclass(slots=True)
class Property:
    """A named part of an object."""

    name: str
    schema: "Schema"
    required: bool


@dataclass(slots=True)
class Object:
    """An object; `additional` is the schema of what else may be in it, None for nothing else."""

    properties: list[Property] = field(default_factory=list)
    additional: "Schema | None" = None


@dataclass(slots=True)
class FixedArray:
    """An array with a schema for each place."""

    items: list["Schema"]


@dataclass(slots=True)
class Array:
    """An array of like items; `most` is -1 for no limit."""

    items: "Schema"
    least: int = 0
    most: int = -1


@dataclass(slots=True)
class String:
    """A text; `longest` is -1 for no limit. `format` is one of those that have a grammar, or empty."""

    pattern: str = ""
    format: str = ""
    shortest: int = 0
    longest: int = -1


@dataclass(slots=True)
class Integer:
    """A whole number between two bounds that it may reach."""

    least: int = _LOWEST
    most: int = _HIGHEST

    @property
    def is_bounded(self) -> bool:
        """Whether one of the bounds means anything."""
        return (self.least, self.most) != (_LOWEST, _HIGHEST)

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The bounds, None for one that is not there."""
        return (None if self.least == _LOWEST else self.least), (None if self.most == _HIGHEST else self.most)


@dataclass(slots=True)
class Primitive:
    """A number, a boolean, or null."""

    kind: Literal["number", "boolean", "null"]


Schema = (
    AnyValue
    | Reference
    | AnyOf
    | AllOf
    | Constant
    | Enumeration
    | Object
    | FixedArray
    | Array
    | String
    | Integer
    | Primitive
)


def read_schema(document: Any) -> Schema:
    """The nodes of a schema; raises BadSchema naming the place."""
    try:
        return _SchemaReader(document).read()
    except RecursionError as error:
        raise BadSchema("JSON schema error at #: nested too deeply") from error


def _fail(path: str, message: str) -> BadSchema:
    return BadSchema(f"JSON schema error at {path}: {message}")


def _count(schema: Mapping[str, Any], key: str, path: str, default: int) -> int:
    if key not in schema:
        return default
    value = schema[key]
    if not is_integer(value) or as_int(value) < 0:
        raise _fail(path, f"{key} must be a non-negative integer")
    return as_int(value)


def _bound(schema: Mapping[str, Any], key: str, path: str, *, up: bool) -> int:
    """A bound; one with a fraction is rounded inwards, to the integers it still admits."""
    value = schema[key]
    if is_integer(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, float):
        raise _fail(path, f"{key} must be a number")
    return max(_LOWEST, min(_HIGHEST, math.ceil(value) if up else math.floor(value)))


def _format(schema: Mapping[str, Any], path: str) -> str:
    value = schema.get("format", "")
    if not isinstance(value, str):
        raise _fail(path, "format must be a string")
    if value in ("date", "time", "date-time"):
        return value
    return "uuid" if value in ("uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5") else ""


class _SchemaReader:
    """Reads one document; its references are resolved once, so that one to itself comes to an end."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._targets: dict[str, Schema | None] = {}
        self._references: list[Reference] = []

    def read(self) -> Schema:
        node = self._node(self._root, "#")
        for reference in self._references:
            reference.target = self._targets[reference.name]
        return node

    def _node(self, schema: Any, path: str) -> Schema:
        if not isinstance(schema, dict):
            raise _fail(path, "schema must be an object")
        if "$ref" in schema:
            return self._reference(schema["$ref"], path)
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return AnyOf(self._alternatives(schema[key], f"{path}/{key}"))
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._several_types(schema, kind, path)
        return self._single(schema, kind, path)

    def _single(self, schema: Mapping[str, Any], kind: Any, path: str) -> Schema:
        if "const" in schema:
            return Constant(schema["const"])
        if "enum" in schema:
            return _enumeration(schema["enum"], path)
        if kind is not None and not isinstance(kind, str):
            raise _fail(path, "type must be a string or an array of strings")
        return self._typed(schema, kind, path) if kind else self._untyped(schema, path)

    def _several_types(self, schema: Mapping[str, Any], kinds: list[Any], path: str) -> Schema:
        if not kinds:
            raise _fail(path, "type must not be empty")
        return AnyOf([self._node({**schema, "type": kind}, f"{path}/type/{i}") for i, kind in enumerate(kinds)])

    def _reference(self, value: Any, path: str) -> Reference:
        if not isinstance(value, str):
            raise _fail(path, "$ref must be a string")
        if not value.startswith("#/"):
            raise _fail(path, f"unsupported $ref {value}, only references into the same document are supported")
        if value not in self._targets:
            self._targets[value] = None
            self._targets[value] = self._node(self._resolve(value, path), value)
        reference = Reference(value)
        self._references.append(reference)
        return reference

    def _resolve(self, reference: str, path: str) -> Any:
        target = self._root
        for part in reference[1:].split("/")[1:]:
            if isinstance(target, dict) and part in target:
                target = target[part]
            elif isinstance(target, list):
                if not part.isdigit() or int(part) >= len(target):
                    raise _fail(path, f"cannot resolve $ref {reference}, {part} is out of range")
                target = target[int(part)]
            else:
                raise _fail(path, f"cannot resolve $ref {reference}, {part} not found")
        return target

    def _alternatives(self, listed: Any, path: str) -> list[Schema]:
        if not isinstance(listed, list):
            raise _fail(path, "must be an array of schemas")
        if not listed:
            raise _fail(path, "must not be empty")
        return [self._node(item, f"{path}/{number}") for number, item in enumerate(listed)]

    def _untyped(self, schema: Mapping[str, Any], path: str) -> Schema:
        """Without a type its keywords decide, in this order."""
        if _has_properties(schema):
            return self._object(schema, path)
        if "allOf" in schema:
            return AllOf(self._alternatives(schema["allOf"], f"{path}/allOf"))
        if "items" in schema or "prefixItems" in schema:
            return self._array(schema, path)
        if any(key in schema for key in ("pattern", "minLength", "maxLength")) or _format(schema, path):
            return _string(schema, path)
        return AnyValue()

    def _typed(self, schema: Mapping[str, Any], kind: str, path: str) -> Schema:
        combines = "allOf" in schema and (kind == "string" or (kind == "object" and not _has_properties(schema)))
        if combines:
            return AllOf(self._alternatives(schema["allOf"], f"{path}/allOf"))
        match kind:
            case "object":
                return self._object(schema, path)
            case "string":
                return _string(schema, path)
            case "array":
                return self._array(schema, path)
            case "integer":
                return _integer(schema, path)
            case "number" | "boolean" | "null":
                return Primitive(kind)
        raise _fail(path, f"unrecognized type {kind}")

    def _object(self, schema: Mapping[str, Any], path: str) -> Object:
        required = schema.get("required")
        names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set[str]()
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise _fail(path, "properties must be an object")
        node = Object()
        for name, item in properties.items():
            inner = self._node(item, f"{path}/properties/{name}")
            node.properties.append(Property(name, inner, name in names))
        node.additional = self._additional(schema, path)
        return node

    def _additional(self, schema: Mapping[str, Any], path: str) -> Schema | None:
        if "additionalProperties" not in schema:
            return None if "properties" in schema else AnyValue()
        additional = schema["additionalProperties"]
        if isinstance(additional, bool):
            return AnyValue() if additional else None
        if not isinstance(additional, dict):
            raise _fail(path, "additionalProperties must be a boolean or a schema")
        return self._node(additional, f"{path}/additionalProperties")

    def _array(self, schema: Mapping[str, Any], path: str) -> Schema:
        node = Array(AnyValue())
        key = next((key for key in ("items", "prefixItems") if key in schema), None)
        if key is not None:
            items = schema[key]
            if isinstance(items, list):
                return FixedArray([self._node(item, f"{path}/{key}/{i}") for i, item in enumerate(items)])
            node.items = self._node(items, f"{path}/{key}")
        node.least = _count(schema, "minItems", path, 0)
        node.most = _count(schema, "maxItems", path, -1)
        return node


def _has_properties(schema: Mapping[str, Any]) -> bool:
    return "properties" in schema or schema.get("additionalProperties", True) is not True


def _enumeration(values: Any, path: str) -> Enumeration:
    if not isinstance(values, list) or not values:
        raise _fail(path, "enum must be a non-empty array")
    return Enumeration(list(values))


def _string(schema: Mapping[str, Any], path: str) -> String:
    pattern = schema.get("pattern", "")
    if not isinstance(pattern, str):
        raise _fail(path, "pattern must be a string")
    form = _format(schema, path)
    return String(pattern, form, _count(schema, "minLength", path, 0), _count(schema, "maxLength", path, -1))


def _integer(schema: Mapping[str, Any], path: str) -> Integer:
    node = Integer()
    if "minimum" in schema:
        node.least = _bound(schema, "minimum", path, up=True)
    elif "exclusiveMinimum" in schema:
        node.least = _bound(schema, "exclusiveMinimum", path, up=False) + 1
    if "maximum" in schema:
        node.most = _bound(schema, "maximum", path, up=False)
    elif "exclusiveMaximum" in schema:
        node.most = _bound(schema, "exclusiveMaximum", path, up=True) - 1
    return node
