"""Grammars and schemas: what the mock writes under them is allowed by them."""

import json
import random
import re
from typing import Any

import pytest

from mockserver.engine.model import json_schema
from mockserver.engine.model.grammar import Grammar
from mockserver.engine.model.grammar_parser import BadGrammar

SEEDS = range(20)


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        ('root ::= "a"{5,5}', "aaaaa"),
        ('root ::= "yes" | "no"', "yes|no"),
        ('root ::= [a-c]+ ("," [0-9]{2})*', "[a-c]+(,[0-9]{2})*"),
        ('root ::= greeting " " name # who\ngreeting ::= "hi"\nname ::= [A-Z] [^A-Z]?', "hi [A-Z][^A-Z]?"),
        ('root ::= list\nlist ::= "x"\n  | "(" list ")"', r"\(*x\)*"),
        (r'root ::= "\"\n\x41"', '"\nA'),
    ],
)
def test_a_text_under_a_grammar_fits_it(grammar: str, pattern: str) -> None:
    for seed in SEEDS:
        assert re.fullmatch(pattern, Grammar(grammar).write(random.Random(seed)))


@pytest.mark.parametrize(
    "grammar",
    ["root ::= this is (not valid GBNF", "root ::= missing", "other ::= 'a'", "", 'root ::= "open', "root = 1"],
)
def test_a_text_that_is_no_grammar_is_refused(grammar: str) -> None:
    with pytest.raises(BadGrammar):
        Grammar(grammar)


@pytest.mark.parametrize(
    ("schema", "check"),
    [
        ({"const": "42"}, lambda value: value == "42"),
        ({"enum": [1, "two"]}, lambda value: value in (1, "two")),
        ({"type": "integer", "minimum": 3, "maximum": 5}, lambda value: 3 <= value <= 5),
        ({"type": "string", "minLength": 80}, lambda value: len(value) >= 80),
        ({"type": "string", "maxLength": 4}, lambda value: len(value) <= 4),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, lambda value: len(value) == 3),
        ({"items": [{"type": "integer"}, {"type": "null"}]}, lambda value: value[1] is None),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, lambda value: isinstance(value, float | str)),
        ({}, lambda value: value == {}),
        (
            {"type": "object", "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/n"}},
             "required": ["city"], "$defs": {"n": {"type": "integer"}}},
            lambda value: isinstance(value["city"], str) and isinstance(value["days"], int),
        ),
    ],
)  # fmt: skip
def test_json_under_a_schema_fits_it(schema: Any, check: Any) -> None:
    for seed in SEEDS:
        assert check(json.loads(json_schema.write(schema, random.Random(seed))))


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert json.loads(json_schema.write(schema, random.Random(0)))["next"] is not None


@pytest.mark.parametrize(
    "schema", [123, {"type": 123}, {"type": "hiccup"}, {"$ref": "#/nowhere"}, {"$ref": "#"}, False]
)
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(json_schema.BadSchema):
        json_schema.write(schema, random.Random(0))
