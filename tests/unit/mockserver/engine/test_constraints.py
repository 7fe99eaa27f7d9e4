"""Grammars and schemas: what the mock writes under them is allowed by them."""

import json
import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from mockserver.engine.grammar import gbnf_writer
from mockserver.engine.grammar.gbnf_matcher import allows_beginning
from mockserver.engine.grammar.gbnf_parser import BadGrammar, Rule
from mockserver.engine.grammar.gbnf_writer import Grammar
from mockserver.engine.grammar.json_schema import BadSchema, read_schema
from mockserver.engine.grammar.json_writer import write_json
from mockserver.engine.grammar.response_format import response_grammar
from mockserver.engine.grammar.schema_to_grammar import SchemaGrammar, schema_to_grammar
from mockserver.engine.model.tokenizer import VOCABULARIES

SEEDS = range(20)


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        ('root ::= "a"{5,5}', "aaaaa"),
        ('root ::= "yes" | "no"', "yes|no"),
        ('root ::= [a-c]+ ("," [0-9]{2})*', "[a-c]+(,[0-9]{2})*"),
        ('root ::= greeting " " name # who\ngreeting ::= "hi"\nname ::= [A-Z] [^A-Z]?', "hi [A-Z][^A-Z]?"),
        ('root ::= list\nlist ::= "x" |\n  "(" list ")"', r"\(*x\)*"),
        (r'root ::= "\"\n\x41"', '"\nA'),
    ],
)
def test_a_text_under_a_grammar_fits_it(grammar: str, pattern: str) -> None:
    for seed in SEEDS:
        assert re.fullmatch(pattern, Grammar(grammar).write(random.Random(seed)))


@pytest.mark.parametrize(
    "grammar",
    [
        *("root ::= this is (not valid GBNF", "root ::= missing", "other ::= 'a'", "", 'root ::= "open', "root = 1"),
        *(
            'root ::= "x"\n  | "y"',
            "root ::= root",
            'root ::= "a"{3000}',
            'root ::= ("a" "b" | "c"){2} {1500}',
            "root ::= *",
        ),
    ],
)
def test_a_text_that_is_no_grammar_is_refused(grammar: str) -> None:
    with pytest.raises(BadGrammar):
        Grammar(grammar)


def test_a_grammar_may_be_deeper_than_calls_can_be() -> None:
    rules = "".join(f'r{number} ::= "x" | r{number + 1}\n' for number in range(3000))
    assert Grammar(f'root ::= r0\n{rules}r3000 ::= "x"').write(random.Random(0)) == "x"


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
        assert check(json.loads(write_json(read_schema(schema), random.Random(seed))))


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    schema = read_schema({"$ref": "#/$defs/node", "$defs": {"node": node}})
    assert json.loads(write_json(schema, random.Random(0)))["next"] is not None


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (123, "#: schema must be an object"),
        ({"type": 123}, "#: type must be a string or an array of strings"),
        ({"type": "hiccup"}, "#: unrecognized type hiccup"),
        ({"$ref": "#/nowhere"}, "#: cannot resolve $ref #/nowhere, nowhere not found"),
        ({"$ref": "#"}, "#: unsupported $ref #, only references into the same document are supported"),
        ({"type": "object", "properties": 5}, "#: properties must be an object"),
        ({"properties": {"a": {"items": [{"enum": []}]}}}, "#/properties/a/items/0: enum must be a non-empty array"),
        ({"type": "array", "minItems": -1}, "#: minItems must be a non-negative integer"),
        ({"anyOf": []}, "#/anyOf: must not be empty"),
        ({"type": ["string", "nope"]}, "#/type/1: unrecognized type nope"),
    ],
)
def test_a_schema_that_is_none_is_refused_with_its_place(schema: Any, complaint: str) -> None:
    with pytest.raises(BadSchema) as raised:
        schema_to_grammar(schema)
    assert str(raised.value) == f"JSON schema conversion failed:\nJSON schema error at {complaint}"


# What `generation_settings` of llama-server b11434 show for these schemas.
GRAMMARS = [
    (
        {"type": "string", "pattern": "^(a|b)+[0-9]{2,3}\\.x$"},
        r"""root ::= "\"" (("a" | "b")+ root-1{2,3} ".x") "\""
root-1 ::= [0-9]
space ::= | " " | "\n"{1,2} [ \t]{0,20}
""",
    ),
    (
        {"type": "integer", "exclusiveMinimum": 9, "maximum": 345},
        r"""root ::= (([1-8] [0-9] | [9] [0-9]) | ([1-2] [0-9]{2} | [3] ([0-3] [0-9] | [4] [0-5])))
space ::= | " " | "\n"{1,2} [ \t]{0,20}
""",
    ),
    (
        {
            "properties": {
                "and": {"type": "string", "maxLength": 4},
                "n": {"type": ["null", "integer"], "minimum": -3},
            },
            "required": ["n"],
            "additionalProperties": {"type": "null"},
        },
        r"""additional-k ::= ["] ( [a] ([n] ([d] char+ | [^"d] char*) | [^"n] char*) | [n] char+ | [^"an] char* )? ["]
additional-kv ::= additional-k ":" space null
and ::= "\"" char{0,4} "\""
and-kv ::= "\"and\"" space ":" space and
and-rest ::= ( "," space additional-kv )*
char ::= [^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})
n ::= null | n-1
n-1 ::= ("-" ([0-3]) | [0] | [1-9] [0-9]{0,15})
n-kv ::= "\"n\"" space ":" space n
null ::= "null"
root ::= "{" space n-kv ( "," space ( and-kv and-rest | additional-kv ( "," space additional-kv )* ) )? space "}"
space ::= | " " | "\n"{1,2} [ \t]{0,20}
""",
    ),
]


@pytest.mark.parametrize(("schema", "grammar"), GRAMMARS)
def test_a_schema_becomes_the_grammar_of_the_real_server(schema: Any, grammar: str) -> None:
    assert schema_to_grammar(schema) == grammar


@pytest.mark.parametrize(
    ("beginning", "is_allowed"), [('{ "a', True), ('```json\n{"', True), ("He", False), ("", True)]
)
def test_an_answer_may_be_begun_only_as_its_grammar_allows(beginning: str, is_allowed: bool) -> None:
    grammar = response_grammar(read_schema({"type": "object"}), "<|im_start|>assistant\n")
    given = f"<|im_start|>assistant\n{beginning}"
    assert allows_beginning(grammar, given, VOCABULARIES["chatml"]) is is_allowed


BOMB = {
    f"level{number}": {
        "properties": {name: {"$ref": f"#/$defs/level{number + 1}"} for name in "abcdefghij"},
        "required": [*"abcdefghij"],
    }
    for number in range(20)
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "minItems": 2_000_000_000},
        {"type": "string", "minLength": 2_000_000_000},
        {"$ref": "#/$defs/level0", "$defs": BOMB | {"level20": {"type": "string"}}},
    ],
    ids=["items", "characters", "levels"],
)
def test_of_what_a_schema_demands_only_so_much_is_written(schema: dict[str, Any]) -> None:
    assert len(write_json(read_schema(schema), random.Random(1))) < 1_000_000


def test_a_long_chain_of_rules_is_not_walked_again_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    height, looked = gbnf_writer._height, []

    def noted(symbols: Sequence[Rule], heights: Sequence[float]) -> float:
        looked.append(len(heights))
        return height(symbols, heights)

    monkeypatch.setattr(gbnf_writer, "_height", noted)
    schema = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(200)}}
    text = schema_to_grammar(schema)
    assert json.loads(Grammar(text).write(random.Random(1))) is not None
    assert len(looked) < 10 * looked[0]


def test_a_rule_for_what_may_follow_an_optional_property_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    add, added = SchemaGrammar._add, []

    def noted(grammar: SchemaGrammar, name: str, rule: str) -> str:
        added.append(name)
        return add(grammar, name, rule)

    monkeypatch.setattr(SchemaGrammar, "_add", noted)
    schema = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(2000)}}
    assert len(schema_to_grammar(schema).splitlines()) > 2 * 2000
    assert len([name for name in added if name.endswith("-rest")]) == 1999
