"""A regular expression of a JSON schema, as a grammar: what it cannot say becomes any string, what is wrong is refused.

Mirrors common/json-schema-to-grammar.cpp (`_pattern_to_rule`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_DEEPEST = 100
_NOT_LITERAL = frozenset("|.()[]{}*+?^$")
_ESCAPED = frozenset("^$.[]()|{}*+?")
_GRAMMAR_ESCAPE = re.compile(r'\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\"\[\]-])')
_COUNT = re.compile(r"\s*[+-]?\d+")
_MOST = 2**31 - 1

AddRule = Callable[[str, str], str]


class UnsupportedPattern(ValueError):
    """A regular expression that no grammar says."""


class InvalidPattern(ValueError):
    """A text that is no regular expression."""


@dataclass(slots=True)
class _Part:
    text: str
    is_literal: bool = False

    def rule(self) -> str:
        return f'"{self.text}"' if self.is_literal else self.text


def repetition(item: str, least: int, most: int | None, separator: str = "") -> str:
    """The rule of an item that is repeated; `most` is None for no limit."""
    if most == 0:
        return ""
    if (least, most) == (0, 1):
        return f"{item}?"
    if separator:
        further = None if most is None else most - 1
        text = f"{item} {repetition(f'({separator} {item})', max(least - 1, 0), further)}"
        return text if least else f"({text})?"
    if most is None and least in (0, 1):
        return item + "*+"[least]
    return f"{item}{{{least},{'' if most is None else most}}}"


def pattern_to_rule(pattern: str, name: str, add_rule: AddRule) -> str:
    """The name of the rule for a JSON string that the pattern matches; raises UnsupportedPattern or InvalidPattern."""
    if len(pattern) < 2 or pattern[0] != "^" or pattern[-1] != "$":
        raise UnsupportedPattern("not anchored with '^' and '$'")
    parser = _PatternParser(pattern[1:-1], name, add_rule)
    rule = parser.sequence()
    if parser.depth:
        raise InvalidPattern("unbalanced parentheses")
    return add_rule(name, f'"\\"" ({rule}) "\\""')


@dataclass(slots=True)
class _PatternParser:
    text: str
    name: str
    add_rule: AddRule
    at: int = 0
    depth: int = 0
    repeated: dict[str, str] = field(default_factory=dict)

    def sequence(self) -> str:
        """All up to the end, or to the parenthesis that closes it."""
        parts: list[_Part] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == ")":
                self.at += 1
                if not self.depth:
                    raise InvalidPattern("unbalanced parentheses")
                self.depth -= 1
                break
            self._step(char, parts)
        return _joined(parts)

    def _step(self, char: str, parts: list[_Part]) -> None:
        if char in _READERS:
            parts.append(_Part(_READERS[char](self)))
        elif char in "^$":
            raise UnsupportedPattern("anchor inside the pattern")
        elif char in "*+?":
            if not parts:
                raise InvalidPattern("nothing to repeat")
            parts[-1] = _Part(parts[-1].rule() + char)
            self.at += 1
        elif char == "{":
            self._braces(parts)
        else:
            parts.append(_Part(self._literal(char), is_literal=True))

    def dot(self) -> str:
        """Any character but a line break."""
        self.at += 1
        return self.add_rule("dot", "[^\\x0A\\x0D]")

    def bar(self) -> str:
        """What parts alternatives."""
        self.at += 1
        return "|"

    def group(self) -> str:
        """All up to the closing parenthesis."""
        self.at += 1
        if self.text[self.at : self.at + 1] == "?":
            if self.text[self.at + 1 : self.at + 2] != ":":
                raise UnsupportedPattern("unsupported group syntax")
            self.at += 2
        self.depth += 1
        if self.depth > _DEEPEST:
            raise UnsupportedPattern("pattern nesting too deep")
        return f"({self.sequence()})"

    def set(self) -> str:
        """A set of characters, which grammars write the same way."""
        start = self.at
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != "]":
            if self.text[self.at] != "\\":
                self.at += 1
                continue
            escape = _GRAMMAR_ESCAPE.match(self.text, self.at)
            if escape is None:
                raise UnsupportedPattern(f"unsupported escape in character class: {self.text[self.at : self.at + 2]}")
            self.at = escape.end()
        if self.at >= len(self.text):
            raise InvalidPattern("unterminated character class")
        self.at += 1
        return self.text[start : self.at]

    def _braces(self, parts: list[_Part]) -> None:
        end = self.text.find("}", self.at)
        if end < 0:
            raise UnsupportedPattern("unterminated curly brackets")
        least, most = _counts(self.text[self.at + 1 : end])
        self.at = end + 1
        if not parts:
            raise InvalidPattern("nothing to repeat")
        last = parts[-1]
        item = last.rule()
        if not last.is_literal:
            if item not in self.repeated:
                self.repeated[item] = self.add_rule(f"{self.name}-{len(self.repeated) + 1}", item)
            item = self.repeated[item]
        parts[-1] = _Part(repetition(item, least, most))

    def _literal(self, first: str) -> str:
        literal = ""
        text = self.text
        while self.at < len(text):
            char, after = text[self.at], text[self.at + 1 : self.at + 2]
            if char == "\\":
                literal += self._escape(after)
            elif char == '"':
                literal += '\\"'
                self.at += 1
            elif char not in _NOT_LITERAL and (not after or not literal or after == "." or after not in _NOT_LITERAL):
                literal += char
                self.at += 1
            else:
                break
        if not literal:
            raise UnsupportedPattern(f"unsupported character: {first}")
        return literal

    def _escape(self, after: str) -> str:
        if not after:
            raise InvalidPattern("trailing backslash")
        if after in _ESCAPED:
            self.at += 2
            return after
        escape = _GRAMMAR_ESCAPE.match(self.text, self.at)
        if escape is None:
            raise UnsupportedPattern(f"unsupported escape: \\{after}")
        self.at = escape.end()
        return escape[0]


_READERS: dict[str, Callable[[_PatternParser], str]] = {
    ".": _PatternParser.dot,
    "|": _PatternParser.bar,
    "(": _PatternParser.group,
    "[": _PatternParser.set,
}


def _counts(inside: str) -> tuple[int, int | None]:
    numbers = inside.split(",")
    if len(numbers) > 2:
        raise UnsupportedPattern("wrong number of values in curly brackets")
    if len(numbers) == 1:
        count = _count(numbers[0])
        return count, count
    return (_count(numbers[0]) if numbers[0] else 0), (_count(numbers[1]) if numbers[1] else None)


def _count(text: str) -> int:
    found = _COUNT.match(text)
    if found is None or int(found[0]) > _MOST:
        raise UnsupportedPattern("invalid number in curly brackets")
    return int(found[0])


def _joined(parts: list[_Part]) -> str:
    """The parts in a row, neighbouring literals as one."""
    joined: list[_Part] = []
    for part in parts:
        if part.is_literal and joined and joined[-1].is_literal:
            joined[-1] = _Part(joined[-1].text + part.text, is_literal=True)
        else:
            joined.append(part)
    return " ".join(part.rule() for part in joined)
