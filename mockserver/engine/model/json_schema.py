"""JSON that a schema allows, from dice: what a model under a JSON schema would write."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from mockserver.core.nlohmann_json import dump, kind
from mockserver.engine.model.text_composer import phrase

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_FORMATS = {
    "date": "2026-03-14",
    "time": "09:26:53Z",
    "date-time": "2026-03-14T09:26:53Z",
    "uuid": "6b1f4c1e-2d3a-4b5c-8d7e-9f0a1b2c3d4e",
    "email": "ada@example.com",
    "uri": "https://example.com/",
}
_DEEPEST = 12
_ENDLESS = 100


class BadSchema(ValueError):
    """A schema that cannot be followed; the message names the part."""


def write(schema: Any, rng: random.Random) -> str:
    """Compact JSON text that the schema allows. Raises BadSchema."""
    return dump(_Writer(schema, rng).value(schema, 0))


class _Writer:
    def __init__(self, root: Any, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._by_type: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": lambda schema, depth: self._integer(schema, depth) + 0.5,
            "boolean": lambda _schema, _depth: rng.random() < 0.5,
            "null": lambda _schema, _depth: None,
        }

    def value(self, schema: Any, depth: int) -> Any:
        """One value; the order of the checks is that of specificity."""
        if schema is not True and not isinstance(schema, Mapping):
            raise BadSchema(f"a schema must be an object, not a {kind(schema)}")
        if depth > _ENDLESS:
            raise BadSchema("the schema never comes to an end")
        schema = {} if schema is True else schema
        if (inner := self._elsewhere(schema)) is not None:
            return self.value(inner, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(list(schema["enum"]))
        return self._by_type[self._type(schema)](schema, depth)

    def _elsewhere(self, schema: Mapping[str, Any]) -> Any:
        """The schema that this one only points at, if it does."""
        if "$ref" in schema:
            return self._resolve(str(schema["$ref"]))
        if alternatives := schema.get("oneOf") or schema.get("anyOf"):
            return self._rng.choice(list(alternatives))
        return _merged(schema["allOf"]) if schema.get("allOf") else None

    def _type(self, schema: Mapping[str, Any]) -> str:
        given = schema.get("type")
        if given is None:
            named = {"properties": "object", "items": "array", "prefixItems": "array", "pattern": "string"}
            return next((found for name, found in named.items() if name in schema), "object")
        chosen = given[0] if isinstance(given, list) and given else given
        if chosen not in _TYPES:
            raise BadSchema(f"Unrecognized schema: {dump(dict(schema))}")
        return str(chosen)

    def _resolve(self, reference: str) -> Any:
        found = self._root
        for part in filter(None, reference.removeprefix("#").split("/")):
            if not isinstance(found, Mapping) or part not in found:
                raise BadSchema(f"Unsupported ref: {reference}")
            found = found[part]
        return found

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required") or []
        properties = schema.get("properties") or {}
        names = [name for name in properties if depth < _DEEPEST or name in required]
        return {name: self.value(properties[name], depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        items = schema.get("prefixItems", schema.get("items", {"type": "string"}))
        if isinstance(items, list):
            return [self.value(item, depth + 1) for item in items]
        count = max(int(schema.get("minItems", 1)), 0)
        return [self.value(items, depth + 1) for _ in range(min(count, int(schema.get("maxItems", count))))]

    def _string(self, schema: Mapping[str, Any], _depth: int) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = phrase(self._rng)
        shortest, longest = int(schema.get("minLength", 0)), schema.get("maxLength")
        while len(text) < shortest:
            text += " " + phrase(self._rng)
        return text if longest is None else text[: int(longest)]

    def _integer(self, schema: Mapping[str, Any], _depth: int) -> int:
        low = int(schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema)))
        high = int(schema.get("maximum", schema.get("exclusiveMaximum", low + 31) - 1))
        return self._rng.randint(low, max(low, high))


def _merged(parts: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {"properties": {}, "required": []}
    for part in parts:
        merged["properties"] |= part.get("properties", {})
        merged["required"] += part.get("required", [])
    return merged
