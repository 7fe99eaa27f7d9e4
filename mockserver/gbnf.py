"""llama.cpp's grammar notation (GBNF): read a grammar, and write a text that it allows."""

import random
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
_MANY = 4
_LONGEST = 20_000


class BadGrammar(ValueError):
    """A text that is no grammar; the message says where."""


@dataclass(slots=True)
class _Literal:
    text: str


@dataclass(slots=True)
class _Characters:
    choices: list[str]


@dataclass(slots=True)
class _Rule:
    name: str


@dataclass(slots=True)
class _Group:
    alternatives: list[list["_Item"]] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    what: _Literal | _Characters | _Rule | _Group
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

    def rules(self) -> dict[str, _Group]:
        found: dict[str, _Group] = {}
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

    def _group(self, *, nested: bool = False) -> _Group:
        group = _Group([[]])
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

    def _item(self) -> _Item:
        kind, text = self._peek()
        self._position += 1
        what: _Literal | _Characters | _Rule | _Group
        if kind == "string":
            what = _Literal(_unescape(text[1:-1]))
        elif kind == "set":
            what = _Characters(_members(text[1:-1]))
        elif kind == "name":
            what = _Rule(text)
        elif text == ".":
            what = _Characters(list("abcdefghij"))
        elif text == "(":
            what = self._group(nested=True)
            if self._take("mark", "')'") != ")":
                raise BadGrammar("expecting ')'")
        else:
            raise BadGrammar(f"expecting a rule's content at {text!r}")
        return self._repeated(_Item(what))

    def _repeated(self, item: _Item) -> _Item:
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


class Grammar:
    """A grammar; raises BadGrammar when it has no root or names rules that are not there."""

    def __init__(self, text: str) -> None:
        self._rules = _Parser(text).rules()
        if "root" not in self._rules:
            raise BadGrammar("the grammar has no root rule")
        for group in list(self._rules.values()):
            self._check(group)

    def _check(self, group: _Group) -> None:
        for item in (item for alternative in group.alternatives for item in alternative):
            if isinstance(item.what, _Rule) and item.what.name not in self._rules:
                raise BadGrammar(f"undefined rule {item.what.name!r}")
            if isinstance(item.what, _Group):
                self._check(item.what)

    def write(self, rng: random.Random) -> str:
        """A text that the grammar allows; recursion is left as soon as it can be."""
        text: list[str] = []
        pending: list[_Group | _Item] = [self._rules["root"]]
        while pending and len(text) < _LONGEST:
            step = pending.pop()
            if isinstance(step, _Group):
                plain = [one for one in step.alternatives if not any(isinstance(i.what, _Rule) for i in one)]
                pending += reversed(rng.choice(plain or step.alternatives))
                continue
            most = step.most if step.most is not None else max(step.least, _MANY)
            times = rng.randint(step.least, max(step.least, most)) if len(pending) < _MANY**3 else step.least
            what = step.what
            for _ in range(times):
                if isinstance(what, _Literal):
                    text.append(what.text)
                elif isinstance(what, _Characters):
                    text.append(rng.choice(what.choices or [""]))
            if isinstance(what, _Rule | _Group):
                pending += [self._rules[what.name] if isinstance(what, _Rule) else what] * times
        return "".join(text)
