"""JSON that fits a schema: what a model under a schema would write."""

import random
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from mockserver.core.nlohmann_json import dump
from mockserver.engine.grammar import json_schema as nodes
from mockserver.engine.grammar.gbnf_parser import BadGrammar
from mockserver.engine.grammar.gbnf_writer import Grammar
from mockserver.engine.grammar.json_schema import BadSchema, Schema, read_schema
from mockserver.engine.grammar.pattern_to_grammar import InvalidPattern, UnsupportedPattern, pattern_to_rule
from mockserver.engine.model.text_composer import phrase

_DEEPEST = 6
_MOST_VALUES = 20_000  # more than any answer holds; a schema may demand billions
_LONGEST = 20_000  # characters of a text, as of one by a grammar
_FORMATS = {
    "date": "2026-11-27",
    "time": "09:30:00Z",
    "date-time": "2026-11-27T09:30:00Z",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_SPREAD = 31


def write_json(schema: Schema, rng: random.Random) -> str:
    """JSON text that fits a schema."""
    return dump(_Writer(rng).value(schema, 0))


def write_arguments(parameters: Any, rng: random.Random) -> str:
    """Arguments for a tool's parameters; an empty object when nobody understands these."""
    try:
        schema = read_schema(parameters)
    except BadSchema:
        return "{}"
    return write_json(schema, rng)


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._left = _MOST_VALUES
        self._writers: dict[type, Callable[[Any, int], Any]] = {
            nodes.Reference: self._reference,
            nodes.AnyOf: self._any_of,
            nodes.AllOf: self._all_of,
            nodes.Constant: lambda schema, _depth: schema.value,
            nodes.Enumeration: lambda schema, _depth: rng.choice(schema.values),
            nodes.Object: self._object,
            nodes.FixedArray: lambda schema, depth: [self.value(item, depth + 1) for item in schema.items],
            nodes.Array: self._array,
            nodes.String: self._string,
            nodes.Integer: self._integer,
            nodes.Primitive: self._primitive,
            nodes.AnyValue: lambda _schema, _depth: {},
        }

    def value(self, schema: Schema, depth: int) -> Any:
        """A value that fits a node; nothing is optional where it gets too deep, and nothing follows very many."""
        self._left -= 1
        return self._writers[type(schema)](schema, depth)

    def _reference(self, schema: nodes.Reference, depth: int) -> Any:
        goes_on = depth <= 3 * _DEEPEST and self._left > 0
        return self.value(schema.target, depth + 1) if schema.target and goes_on else None

    def _any_of(self, schema: nodes.AnyOf, depth: int) -> Any:
        return self.value(self._rng.choice(schema.children) if depth < _DEEPEST else schema.children[-1], depth + 1)

    def _primitive(self, schema: nodes.Primitive, _depth: int) -> Any:
        if schema.kind == "number":
            return round(self._rng.uniform(0, 100), 2)
        return self._rng.random() < 0.5 if schema.kind == "boolean" else None

    def _object(self, schema: nodes.Object, depth: int) -> dict[str, Any]:
        listed = [one for one in schema.properties if one.required or depth < _DEEPEST]
        return {one.name: self.value(one.schema, depth + 1) for one in listed}

    def _all_of(self, schema: nodes.AllOf, depth: int) -> Any:
        values = [self.value(child, depth + 1) for child in schema.children]
        objects = [value for value in values if isinstance(value, dict)]
        return {name: value for one in objects for name, value in one.items()} if objects else values[0]

    def _array(self, schema: nodes.Array, depth: int) -> list[Any]:
        wanted = max(schema.least, 1 if depth < _DEEPEST else 0)
        count = wanted if schema.most < 0 else min(wanted, schema.most)
        items = nodes.String() if isinstance(schema.items, nodes.AnyValue) else schema.items
        return [self.value(items, depth + 1) for _ in takewhile(lambda _: self._left > 0, range(count))]

    def _string(self, schema: nodes.String, _depth: int) -> str:
        if schema.pattern:
            return self._matching(schema.pattern)
        if schema.format:
            return _FORMATS[schema.format]
        text = phrase(self._rng)
        while len(text) < min(schema.shortest, _LONGEST):
            text += " " + phrase(self._rng)
        return text if schema.longest < 0 else text[: schema.longest]

    def _matching(self, pattern: str) -> str:
        """A text that a pattern matches; any, as llama.cpp allows it, where the pattern has no grammar."""
        rules: dict[str, str] = {}

        def add(name: str, rule: str) -> str:
            while rules.get(name, rule) != rule:
                name += "0"
            rules[name] = rule
            return name

        try:
            pattern_to_rule(pattern, "root", add)
            text = Grammar("".join(f"{name} ::= {rule}\n" for name, rule in rules.items())).write(self._rng)
        except (BadGrammar, InvalidPattern, UnsupportedPattern):
            return phrase(self._rng)
        return text[1:-1]

    def _integer(self, schema: nodes.Integer, _depth: int) -> int:
        low, high = schema.bounds
        if low is None:
            low = 0 if high is None or high >= 0 else high - _SPREAD
        most = low + _SPREAD if high is None else min(high, low + _SPREAD) if low == 0 and high > _SPREAD else high
        return self._rng.randint(low, max(low, most))
