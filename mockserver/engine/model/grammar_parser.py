"""llama.cpp's grammar notation (GBNF), read into rules.

Mirrors src/llama-grammar.cpp (`llama_grammar_parser`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+|\#[^\n]*)
      |(?P<newline>\s*\n\s*)
      |(?P<define>::=)
      |(?P<name>[a-zA-Z][a-zA-Z0-9-]*)
      |(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<set>\[\^?(?:[^\]\\\n]|\\.)*\])
      |(?P<repeat>[*+?]|\{\d+(?:,\d*)?\})
      |(?P<mark>[()|.])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class BadGrammar(ValueError):
    """A text that is no grammar; the message says where."""


@dataclass(slots=True)
class Literal:
    """A text as it is."""

    text: str


@dataclass(slots=True)
class Characters:
    """One of these characters."""

    choices: list[str]


@dataclass(slots=True)
class Rule:
    """Another rule, by name."""

    name: str


@dataclass(slots=True)
class Group:
    """One of these sequences."""

    alternatives: list[list["Item"]] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """A part of a sequence, and how often it may stand there; `most` is None for no limit."""

    what: Literal | Characters | Rule | Group
    least: int = 1
    most: int | None = 1


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if code[0] in "xuU" else _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", one, text)


def _members(body: str) -> list[str]:
    """The characters of a set such as `[a-z0-9]`; of one that begins with `^`, printable others."""
    negated, text = body.startswith("^"), _unescape(body.removeprefix("^"))
    members: list[str] = []
    position = 0
    while position < len(text):
        if text[position + 1 : position + 2] == "-" and position + 2 < len(text):
            members += map(chr, range(ord(text[position]), ord(text[position + 2]) + 1))
            position += 3
        else:
            members.append(text[position])
            position += 1
    return [char for char in map(chr, range(32, 127)) if char not in members] if negated else members


class _Parser:
    """Recursive descent over the tokens of a grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._scan(text))
        self._position = 0

    def _scan(self, text: str) -> Iterator[tuple[str, str]]:
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise BadGrammar(f"unexpected {text[position]!r} at character {position}")
            if match.lastgroup and match.lastgroup != "space":
                yield match.lastgroup, match[0]
            position = match.end()

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._position] if self._position < len(self._tokens) else ("end", "")

    def _take(self, kind: str, what: str) -> str:
        found, text = self._peek()
        if found != kind:
            raise BadGrammar(f"expecting {what} at {text!r}")
        self._position += 1
        return text

    def rules(self) -> dict[str, Group]:
        found: dict[str, Group] = {}
        while self._peek()[0] != "end":
            if self._peek()[0] == "newline":
                self._position += 1
                continue
            name = self._take("name", "a rule name")
            self._take("define", "'::='")
            found[name] = self._group()
            if self._peek()[0] != "end":
                self._take("newline", "the end of the rule")
        return found

    def _group(self, *, nested: bool = False) -> Group:
        group = Group([[]])
        while (token := self._peek())[0] != "end" and token != ("mark", ")"):
            if token == ("mark", "|"):
                self._position += 1
                group.alternatives.append([])
            elif token[0] == "newline" and not nested and not self._goes_on():
                break
            elif token[0] == "newline":
                self._position += 1
            else:
                group.alternatives[-1].append(self._item())
        return group

    def _goes_on(self) -> bool:
        """Whether a rule goes on after a line break: with another alternative."""
        return self._tokens[self._position + 1 : self._position + 2] == [("mark", "|")]

    def _item(self) -> Item:
        kind, text = self._peek()
        self._position += 1
        what: Literal | Characters | Rule | Group
        if kind == "string":
            what = Literal(_unescape(text[1:-1]))
        elif kind == "set":
            what = Characters(_members(text[1:-1]))
        elif kind == "name":
            what = Rule(text)
        elif text == ".":
            what = Characters(list("abcdefghij"))
        elif text == "(":
            what = self._group(nested=True)
            if self._take("mark", "')'") != ")":
                raise BadGrammar("expecting ')'")
        else:
            raise BadGrammar(f"expecting a rule's content at {text!r}")
        return self._repeated(Item(what))

    def _repeated(self, item: Item) -> Item:
        kind, text = self._peek()
        if kind == "repeat":
            self._position += 1
            if text[0] == "{":
                least, comma, most = text[1:-1].partition(",")
                item.least = int(least)
                item.most = int(most) if most else None if comma else item.least
            else:
                item.least = int(text == "+")
                item.most = 1 if text == "?" else None
        return item


def parse(text: str) -> dict[str, Group]:
    """The rules of a grammar by name; raises BadGrammar."""
    return _Parser(text).rules()
