"""The grammar of a chat's answer that has to follow a schema: what the template opened, then the JSON, fenced or not.

Mirrors common/chat-auto-parser-generator.cpp (`build_parser`, with a response format) and common/peg-parser.cpp
(`build_grammar`, and its JSON rules).
"""

from mockserver.engine.grammar.json_schema import Schema
from mockserver.engine.grammar.schema_to_grammar import SchemaGrammar, gbnf_literal

_NAME = "response-format-schema"
_JSON_RULES = {
    "json-array": '"[" space ("]" | json-value (space "," space json-value)* space "]")',
    "json-bool": '"true" | "false"',
    "json-null": '"null"',
    "json-number": '"-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? (("e" | "E") [+-]? [0-9]+)?',
    "json-object": (
        '"{" space ("}" | json-string space ":" space json-value '
        '(space "," space json-string space ":" space json-value)* space "}")'
    ),
    "json-string": r'"\"" ( [^"\\] | "\\" ( ["\\/ bfnrt] | "u" [0-9a-fA-F]{4} ) )* "\""',
    "json-value": "json-object | json-array | json-string | json-number | json-bool | json-null",
}


def response_grammar(schema: Schema, opening: str) -> str:
    """The grammar, which begins with the opening that is in the prompt already; raises BadSchema."""
    grammar = SchemaGrammar()
    grammar.rules |= _JSON_RULES
    grammar.rules["response-format"] = grammar.visit(schema, _NAME)
    opened = f"{gbnf_literal(opening)} " if opening else ""
    fenced = '"```json" space response-format space "```"'
    grammar.rules["root"] = f"{opened}space space ({fenced} | space response-format space)"
    return grammar.text()
