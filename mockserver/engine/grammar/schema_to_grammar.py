"""A JSON schema as a grammar in llama.cpp's notation, rule for rule.

Mirrors common/json-schema-to-grammar.cpp.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mockserver.core.nlohmann_json import dump
from mockserver.engine.grammar import json_schema as nodes
from mockserver.engine.grammar.json_schema import BadSchema, Schema, read_schema
from mockserver.engine.grammar.number_ranges import NoBounds, integers_between
from mockserver.engine.grammar.pattern_to_grammar import (
    InvalidPattern,
    UnsupportedPattern,
    pattern_to_rule,
    repetition,
)

_SPACE = r'| " " | "\n"{1,2} [ \t]{0,20}'
_HEX = "[0-9a-fA-F]"
_VALUES = ("object", "array", "string", "number", "boolean", "null")
_PRIMITIVES: dict[str, tuple[str, Sequence[str]]] = {
    "boolean": ('("true" | "false")', ()),
    "decimal-part": ("[0-9]{1,16}", ()),
    "integral-part": ("[0] | [1-9] [0-9]{0,15}", ()),
    "number": (
        '("-"? integral-part) ("." decimal-part)? ([eE] [-+]? integral-part)?',
        ("integral-part", "decimal-part"),
    ),
    "integer": ('("-"? integral-part)', ("integral-part",)),
    "value": (" | ".join(_VALUES), _VALUES),
    "object": (
        '"{" space ( string ":" space value ("," space string ":" space value)* )? space "}"',
        ("string", "value"),
    ),
    "array": ('"[" space ( value ("," space value)* )? space "]"', ("value",)),
    "uuid": (r'"\"" ' + ' "-" '.join(f"{_HEX}{{{size}}}" for size in (8, 4, 4, 4, 12)) + r' "\""', ()),
    "char": (r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})', ()),
    "string": (r'"\"" char* "\""', ("char",)),
    "null": ('"null"', ()),
}
_FORMATS: dict[str, tuple[str, Sequence[str]]] = {
    "date": ('[0-9]{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | [1-2] [0-9] | "3" [0-1] )', ()),
    "time": (
        '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{3} )? '
        '( "Z" | ( "+" | "-" ) ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] )',
        (),
    ),
    "date-time": ('date "T" time', ("date", "time")),
    "date-string": (r'"\"" date "\""', ("date",)),
    "time-string": (r'"\"" time "\""', ("time",)),
    "date-time-string": (r'"\"" date-time "\""', ("date-time",)),
}
_BUILT_IN = _PRIMITIVES | _FORMATS
_RESERVED = frozenset(_BUILT_IN) | {"root"}
_NOT_IN_NAMES = re.compile("[^a-zA-Z0-9-]+")
_ESCAPES = {"\r": "\\r", "\n": "\\n", '"': '\\"', "\\": "\\\\"}

Named = Sequence[tuple[str, Schema]]


def schema_to_grammar(schema: Any) -> str:
    """The grammar of a JSON schema; raises BadSchema with llama.cpp's words."""
    try:
        root = read_schema(schema)
    except BadSchema as error:
        raise BadSchema(f"JSON schema conversion failed:\n{error}") from error
    try:
        return grammar_of(root)
    except NoBounds as error:
        raise BadSchema(f"JSON schema conversion failed:\n{error}") from error


def grammar_of(root: Schema) -> str:
    """The grammar of a schema that is read already; raises BadSchema for a pattern that is none."""
    grammar = SchemaGrammar()
    grammar.visit(root, "")
    return grammar.text()


def _below(name: str) -> str:
    return f"{name}-" if name else ""


def gbnf_literal(text: str) -> str:
    """A text as a grammar writes it."""
    return '"' + re.sub(r'[\r\n"\\]', lambda match: _ESCAPES[match[0]], text) + '"'


class SchemaGrammar:
    """A grammar that schemas are added to."""

    def __init__(self) -> None:
        self.rules = {"space": _SPACE}
        self._errors: list[str] = []
        self._resolving: set[str] = set()
        self._visitors: dict[type, Callable[[Any, str, str], str]] = {
            nodes.Reference: lambda schema, _name, rule: self._add(rule, self._reference(schema)),
            nodes.AnyOf: self._any_of,
            nodes.AllOf: self._all_of,
            nodes.Constant: lambda schema, _name, rule: self._add(rule, gbnf_literal(dump(schema.value))),
            nodes.Enumeration: self._enumeration,
            nodes.Object: self._object,
            nodes.FixedArray: self._fixed_array,
            nodes.Array: self._array,
            nodes.String: self._string,
            nodes.Integer: self._integer,
            nodes.Primitive: lambda schema, _name, rule: self._primitive(rule, schema.kind),
            nodes.AnyValue: lambda _schema, _name, rule: self._add(rule, self._built_in("value", "value")),
        }

    def text(self) -> str:
        """All rules, by their names; raises BadSchema for what went wrong on the way."""
        if self._errors:
            raise BadSchema("JSON schema conversion failed:\n" + "\n".join(self._errors))
        return "".join(f"{name} ::= {rule}\n" for name, rule in sorted(self.rules.items()))

    def visit(self, schema: Schema, name: str) -> str:
        """The name of the rule for a schema."""
        rule_name = f"{name}-" if name in _RESERVED else name or "root"
        return self._visitors[type(schema)](schema, name, rule_name)

    def _any_of(self, schema: nodes.AnyOf, name: str, rule_name: str) -> str:
        below = f"{name}-" if name else "alternative-"
        alternatives = [self.visit(child, f"{below}{i}") for i, child in enumerate(schema.children)]
        return self._add(rule_name, " | ".join(alternatives))

    def _enumeration(self, schema: nodes.Enumeration, _name: str, rule_name: str) -> str:
        return self._add(rule_name, f"({' | '.join(gbnf_literal(dump(value)) for value in schema.values)})")

    def _fixed_array(self, schema: nodes.FixedArray, name: str, rule_name: str) -> str:
        items = [self.visit(item, f"{_below(name)}tuple-{i}") for i, item in enumerate(schema.items)]
        listed = ' "," space '.join(items)
        return self._add(rule_name, f'"[" space {listed} space "]"')

    def _add(self, name: str, rule: str) -> str:
        """Add a rule under its name, or a number after it if another has it."""
        base = _NOT_IN_NAMES.sub("-", name)
        key, number = base, 0
        while self.rules.get(key, rule) != rule:
            key, number = f"{base}{number}", number + 1
        self.rules[key] = rule
        return key

    def _built_in(self, name: str, kind: str) -> str:
        """Add a built-in rule, and those that it names."""
        rule, needed = _BUILT_IN[kind]
        added = self._add(name, rule)
        for other in needed:
            if other not in self.rules:
                self._built_in(other, other)
        return added

    def _primitive(self, rule_name: str, kind: str) -> str:
        return self._built_in("root" if rule_name == "root" else kind, kind)

    def _reference(self, schema: nodes.Reference) -> str:
        name = "ref" + _NOT_IN_NAMES.sub("-", schema.name.partition("#")[2])
        if name in self.rules or schema.name in self._resolving:
            return name
        if schema.target is None:
            self._errors.append(f"Unresolved $ref {schema.name}")
            return ""
        self._resolving.add(schema.name)
        name = self.visit(schema.target, name)
        self._resolving.discard(schema.name)
        return name

    def _array(self, schema: nodes.Array, name: str, rule_name: str) -> str:
        if isinstance(schema.items, nodes.AnyValue) and (schema.least, schema.most) == (0, -1):
            return self._primitive(rule_name, "array")
        item = self.visit(schema.items, f"{_below(name)}item")
        most = None if schema.most < 0 else schema.most
        listed = repetition(item, schema.least, most, separator='"," space')
        return self._add(rule_name, f'"[" space {listed} space "]"')

    def _string(self, schema: nodes.String, _name: str, rule_name: str) -> str:
        if schema.pattern:
            return self._pattern(schema.pattern, rule_name)
        if schema.format == "uuid":
            return self._primitive(rule_name, "uuid")
        if schema.format:
            kind = f"{schema.format}-string"
            return self._add(rule_name, self._built_in(kind, kind))
        if schema.shortest > 0 or schema.longest >= 0:
            char = self._built_in("char", "char")
            most = None if schema.longest < 0 else schema.longest
            return self._add(rule_name, rf'"\"" {repetition(char, schema.shortest, most)} "\""')
        return self._primitive(rule_name, "string")

    def _pattern(self, pattern: str, name: str) -> str:
        before = dict(self.rules)
        try:
            return pattern_to_rule(pattern, name, self._add)
        except UnsupportedPattern:
            self.rules = before
            return self._add(name, self._built_in("string", "string"))
        except InvalidPattern as error:
            self.rules = before
            self._errors.append(f"Invalid pattern {pattern}: {error}")
            return ""

    def _integer(self, schema: nodes.Integer, _name: str, rule_name: str) -> str:
        if not schema.is_bounded:
            return self._primitive(rule_name, "integer")
        return self._add(rule_name, f"({integers_between(*schema.bounds)})")

    def _object(self, schema: nodes.Object, name: str, rule_name: str) -> str:
        if not schema.properties and isinstance(schema.additional, nodes.AnyValue):
            return self._add(rule_name, self._built_in("object", "object"))
        named = [(one.name, one.schema) for one in schema.properties]
        required = {one.name for one in schema.properties if one.required}
        return self._add(rule_name, self._object_rule(named, required, name, schema.additional))

    def _all_of(self, schema: nodes.AllOf, name: str, rule_name: str) -> str:
        parts = _Merged()
        for child in schema.children:
            if isinstance(child, nodes.AnyOf):
                for alternative in child.children:
                    parts.take(alternative, required=False)
            else:
                parts.take(child, required=True)
        everywhere = sorted(text for text, count in parts.enumerated.items() if count == len(schema.children))
        if everywhere:
            return self._add(rule_name, f"({' | '.join(everywhere)})")
        return self._add(rule_name, self._object_rule(parts.properties, parts.required, name, None))

    def _object_rule(self, named: Named, required: Iterable[str], name: str, additional: Schema | None) -> str:
        below = _below(name)
        pairs: dict[str, str] = {}
        needed: list[str] = []
        optional: list[str] = []
        for key, schema in named:
            value = self.visit(schema, below + key)
            pairs[key] = self._add(f"{below}{key}-kv", f'{gbnf_literal(dump(key))} space ":" space {value}')
            (needed if key in required else optional).append(key)
        if additional is not None:
            pairs["*"] = self._additional(additional, [key for key, _ in named], f"{below}additional")
            optional.append("*")
        if not needed and not optional:
            return '"{" space "}"'
        rule = '"{" space ' + ' "," space '.join(pairs[key] for key in needed)
        if optional:
            choices = " | ".join(self._choices(optional, pairs, below))
            rule += f' ( "," space ( {choices} ) )?' if needed else f" ({choices} )?"
        return rule + ' space "}"'

    def _choices(self, optional: Sequence[str], pairs: dict[str, str], below: str) -> list[str]:
        """What may stand first of the optional properties, each with what may follow: a rule of its own, made once."""
        choices: list[str] = []
        rest = ""
        for place in reversed(range(len(optional))):
            key = optional[place]
            with_comma = f'( "," space {pairs[key]} )'
            choices.append(pairs[key] + (f" {with_comma}*" if key == "*" else "") + rest)
            if place:
                following = with_comma + ("*" if key == "*" else "?") + rest
                rest = " " + self._add(f"{below}{optional[place - 1]}-rest", following)
        return choices[::-1]

    def _additional(self, schema: Schema, known: Sequence[str], name: str) -> str:
        if isinstance(schema, nodes.AnyValue):
            value = self._built_in("value", "value")
        else:
            value = self.visit(schema, f"{name}-value")
        key = self._add(f"{name}-k", self._none_of(known)) if known else self._built_in("string", "string")
        return self._add(f"{name}-kv", f'{key} ":" space {value}')

    def _none_of(self, names: Sequence[str]) -> str:
        """A JSON string that is none of these names."""
        char = self._built_in("char", "char")
        optional = "" if "" in names else "?"
        return f'["] ( {_unlike([name for name in names if name], char)} ){optional} ["]'


def _unlike(names: Sequence[str], char: str) -> str:
    starts = sorted({name[0] for name in names})
    if not starts:
        return ""
    parts = []
    for start in starts:
        rest = [name[1:] for name in names if name[0] == start and len(name) > 1]
        parts.append(f"[{start}] " + (f"({_unlike(rest, char)})" if rest else f"{char}+"))
    return " | ".join([*parts, f'[^"{"".join(starts)}] {char}*'])


class _Merged:
    """What the parts of an `allOf` have together."""

    def __init__(self) -> None:
        self.properties: list[tuple[str, Schema]] = []
        self.required: set[str] = set()
        self.enumerated: dict[str, int] = {}

    def take(self, schema: Schema | None, *, required: bool) -> None:
        """Add a part."""
        match schema:
            case nodes.Reference(_, target) if target is not None:
                self.take(target, required=required)
            case nodes.Object(properties):
                self.properties += [(one.name, one.schema) for one in properties]
                if required:
                    self.required |= {one.name for one in properties}
            case nodes.Enumeration(values):
                for value in values:
                    text = gbnf_literal(dump(value))
                    self.enumerated[text] = self.enumerated.get(text, 0) + 1
            case _:
                pass
