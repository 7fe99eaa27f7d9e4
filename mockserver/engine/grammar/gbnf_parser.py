"""llama.cpp's grammar notation (GBNF), read into rules of elements; what its sampler cannot use is refused.

Mirrors src/llama-grammar.cpp (`llama_grammar_parser`, `llama_grammar_init_impl`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from mockserver.engine.model.tokenizer import Vocabulary

_MOST_REPETITIONS = 2000
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", **{char: char for char in '\\"[]-'}}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_DIGITS = frozenset("0123456789")
_NAME = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")


class BadGrammar(ValueError):
    """A text that is no grammar; the message says where. The server's answer says only that it could not be parsed."""


class Kind(Enum):
    """What an element of a rule is (`llama_gretype`)."""

    ALTERNATIVE = auto()
    RULE = auto()
    CHAR = auto()
    CHAR_NOT = auto()
    CHAR_ALSO = auto()
    CHAR_UP_TO = auto()
    ANY_CHAR = auto()
    TOKEN = auto()
    TOKEN_NOT = auto()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a rule; its value is a character's code, a token, or a rule's number."""

    kind: Kind
    value: int = 0


Rule = list[Element]


def parse_grammar(text: str, vocabulary: Vocabulary) -> tuple[list[Rule], int]:
    """The rules of a grammar, and the number of its root; raises BadGrammar."""
    parser = _Parser(text.partition("\0")[0], vocabulary)
    try:
        parser.parse()
    except (IndexError, OverflowError, RecursionError, ValueError) as error:
        raise BadGrammar(str(error)) from error
    if "root" not in parser.symbols:
        raise BadGrammar("grammar does not contain a 'root' symbol")
    _check_left_recursion(parser.rules)
    return parser.rules, parser.symbols["root"]


class _Parser:
    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.symbols: dict[str, int] = {}
        self.rules: list[Rule] = []
        self._defined: set[int] = set()
        self._text = text
        self._at = 0

    def parse(self) -> None:
        """All rules."""
        self._space(newlines=True)
        while self._peek():
            self._rule()
        for number in range(len(self.rules)):
            if number not in self._defined:
                raise BadGrammar("Undefined rule")
        for rule in self.rules:
            for element in rule:
                if element.kind is Kind.RULE and element.value not in self._defined:
                    raise BadGrammar(f"Undefined rule identifier {list(self.symbols)[element.value]!r}")

    def _peek(self, ahead: int = 0) -> str:
        return self._text[self._at + ahead : self._at + ahead + 1]

    def _expected(self, what: str) -> BadGrammar:
        return BadGrammar(f"expecting {what} at {self._text[self._at :]}")

    def _space(self, *, newlines: bool) -> None:
        while (char := self._peek()) and (char in " \t#" or (newlines and char in "\r\n")):
            if char == "#":
                while self._peek() not in ("", "\r", "\n"):
                    self._at += 1
            else:
                self._at += 1

    def _take(self, char: str, *, newlines: bool) -> bool:
        """Take a character and the space after it, if it is there."""
        if self._peek() != char:
            return False
        self._at += 1
        self._space(newlines=newlines)
        return True

    def _while(self, allowed: frozenset[str], what: str) -> str:
        start = self._at
        while self._peek() and self._peek() in allowed:
            self._at += 1
        if start == self._at:
            raise self._expected(what)
        return self._text[start : self._at]

    def _number_of(self, name: str) -> int:
        return self.symbols.setdefault(name, len(self.symbols))

    def _new_rule(self, name: str) -> int:
        number = len(self.symbols)
        self.symbols[f"{name}_{number}"] = number
        return number

    def _define(self, number: int, rule: Rule) -> None:
        self.rules += [[] for _ in range(number + 1 - len(self.rules))]
        self.rules[number] = rule
        self._defined.add(number)

    def _rule(self) -> None:
        name = self._while(_NAME, "name")
        self._space(newlines=False)
        number = self._number_of(name)
        if self._text[self._at : self._at + 3] != "::=":
            raise self._expected("::=")
        self._at += 3
        self._space(newlines=True)
        self._alternatives(name, number, nested=False)
        if self._peek() not in ("", "\r", "\n"):
            raise self._expected("newline or end")
        self._space(newlines=True)

    def _alternatives(self, name: str, number: int, *, nested: bool) -> None:
        rule: Rule = []
        self._sequence(name, rule, nested=nested)
        while self._take("|", newlines=True):
            rule.append(Element(Kind.ALTERNATIVE))
            self._sequence(name, rule, nested=nested)
        self._define(number, rule)

    def _sequence(self, name: str, rule: Rule, *, nested: bool) -> None:
        """Elements up to what begins none; the last symbol, from `start` on, may be repeated."""
        start, weight = len(rule), 1
        while char := self._peek():
            if char in "*+?{":
                weight = self._repeat(name, rule, start, weight, nested=nested)
                continue
            begun = len(rule)
            reader = self._reader(char)
            if reader is None:
                return
            symbols_before = len(self.symbols)
            reader(name, rule)
            start = begun
            weight = max(1, len(self.symbols) - symbols_before) if char == "(" else 1
            self._space(newlines=nested)

    def _reader(self, char: str) -> Callable[[str, Rule], None] | None:
        """What reads the symbol that begins with a character."""
        if char in _NAME:
            return self._reference
        return {
            '"': self._literal,
            "[": self._set,
            "<": self._token,
            "!": self._token,
            "(": self._group,
            ".": self._any,
        }.get(char)

    def _literal(self, _name: str, rule: Rule) -> None:
        self._at += 1
        while self._peek() != '"':
            rule.append(Element(Kind.CHAR, self._char()))
        self._at += 1

    def _set(self, _name: str, rule: Rule) -> None:
        self._at += 1
        kind = Kind.CHAR
        if self._peek() == "^":
            self._at += 1
            kind = Kind.CHAR_NOT
        while self._peek() != "]":
            rule.append(Element(kind, self._char()))
            kind = Kind.CHAR_ALSO
            if self._peek() == "-" and self._peek(1) != "]":
                self._at += 1
                rule.append(Element(Kind.CHAR_UP_TO, self._char()))
        self._at += 1

    def _char(self) -> int:
        char = self._peek()
        if not char:
            raise BadGrammar("unexpected end of input")
        self._at += 1
        if char != "\\":
            return ord(char)
        code = self._peek()
        self._at += 1
        if code in _ESCAPED:
            return ord(_ESCAPED[code])
        if code not in _HEX_DIGITS:
            raise BadGrammar(f"unknown escape at \\{code}")
        digits = self._text[self._at : self._at + _HEX_DIGITS[code]]
        if len(digits) != _HEX_DIGITS[code] or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
            raise self._expected(f"{_HEX_DIGITS[code]} hex chars")
        self._at += len(digits)
        return int(digits, 16)

    def _token(self, _name: str, rule: Rule) -> None:
        kind = Kind.TOKEN
        if self._peek() == "!":
            kind = Kind.TOKEN_NOT
            self._at += 1
        start = self._at
        if self._text[start : start + 2] == "<[":
            self._at += 2
            number = int(self._while(_DIGITS, "integer"))
            if self._text[self._at : self._at + 2] != "]>":
                raise self._expected("']>'")
            self._at += 2
        else:
            end = self._text.find(">", start)
            if self._peek() != "<" or end < 0:
                raise self._expected("'<' and '>'")
            self._at = end + 1
            number = self._only_token(self._text[start : self._at])
        rule.append(Element(kind, number))

    def _only_token(self, text: str) -> int:
        tokens = self._vocabulary.encode(text)
        if len(tokens) != 1:
            raise BadGrammar(f"invalid token '{text}'")
        return tokens[0]

    def _reference(self, _name: str, rule: Rule) -> None:
        rule.append(Element(Kind.RULE, self._number_of(self._while(_NAME, "name"))))

    def _any(self, _name: str, rule: Rule) -> None:
        self._at += 1
        rule.append(Element(Kind.ANY_CHAR))

    def _group(self, name: str, rule: Rule) -> None:
        self._at += 1
        self._space(newlines=True)
        number = self._new_rule(name)
        self._alternatives(name, number, nested=True)
        rule.append(Element(Kind.RULE, number))
        if self._peek() != ")":
            raise self._expected("')'")
        self._at += 1

    def _repeat(self, name: str, rule: Rule, start: int, weight: int, *, nested: bool) -> int:
        """Repeat the last symbol; the product of all its repetitions so far."""
        place = self._at
        least, most = self._times(nested=nested)
        if start == len(rule):
            raise BadGrammar(f"expecting preceding item to */+/?/{{ at {self._text[place:]}")
        total = (most or least) or 1
        if weight * total > _MOST_REPETITIONS:
            raise BadGrammar("number of rules that are going to be repeated exceeds sane defaults")
        symbol = rule[start:]
        rule[start:] = symbol * least
        self._repeat_further(name, rule, symbol, None if most is None else most - least)
        return weight * total

    def _times(self, *, nested: bool) -> tuple[int, int | None]:
        for sign, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign, newlines=nested):
                return times
        self._take("{", newlines=nested)
        least = int(self._while(_DIGITS, "an int"))
        self._space(newlines=nested)
        if self._take("}", newlines=nested):
            return self._limited(least, least)
        if not self._take(",", newlines=nested):
            raise self._expected("','")
        most = None
        if self._peek() and self._peek() in _DIGITS:
            most = int(self._while(_DIGITS, "an int"))
            self._space(newlines=nested)
        if not self._take("}", newlines=nested):
            raise self._expected("'}'")
        return self._limited(least, most)

    def _limited(self, least: int, most: int | None) -> tuple[int, int | None]:
        if least > _MOST_REPETITIONS:
            raise BadGrammar("number of repetitions exceeds sane defaults, please reduce the number of repetitions")
        return least, None if most is None or most > _MOST_REPETITIONS else most

    def _repeat_further(self, name: str, rule: Rule, symbol: Rule, further: int | None) -> None:
        """Let the symbol follow so many times more, or for ever: rules that end in one another."""
        last = None
        for _ in range(1 if further is None else further):
            number = self._new_rule(name)
            follows = number if further is None else last
            tail = [] if follows is None else [Element(Kind.RULE, follows)]
            self._define(number, [*symbol, *tail, Element(Kind.ALTERNATIVE)])
            last = number
        if last is not None:
            rule.append(Element(Kind.RULE, last))


def _check_left_recursion(rules: list[Rule]) -> None:
    """Refuse a rule that begins with itself, which the sampler would follow for ever."""
    search = _LeftmostSearch(rules)
    for number in range(len(rules)):
        search.visit(number)


class _LeftmostSearch:
    def __init__(self, rules: list[Rule]) -> None:
        self._rules = [[*rule, Element(Kind.ALTERNATIVE)] for rule in rules]
        self._visited: set[int] = set()
        self._in_progress: set[int] = set()
        self._may_be_empty: set[int] = set()

    def visit(self, number: int) -> None:
        """Follow all that a rule can begin with; raises BadGrammar when the rule itself is among it.

        A grammar may be deeper than calls can be: each of `path` is where the search stands in a rule.
        """
        path = [self._begin(number)]
        while path:
            first = next(path[-1], None)
            if first is None:
                path.pop()
            else:
                path.append(self._begin(first))

    def _begin(self, number: int) -> Iterator[int]:
        """The rules that a rule can begin with, each to be visited before the next is asked for."""
        if number in self._in_progress:
            raise BadGrammar(f"unsupported grammar, left recursion detected for nonterminal at index {number}")
        if number in self._visited:
            return
        self._in_progress.add(number)
        self._note_if_empty(number)
        leftmost = True
        for element in self._rules[number]:
            if element.kind is Kind.RULE and leftmost:
                yield element.value
                leftmost = element.value in self._may_be_empty
            else:
                leftmost = element.kind is Kind.ALTERNATIVE
        self._in_progress.discard(number)
        self._visited.add(number)

    def _note_if_empty(self, number: int) -> None:
        at_start = True
        for element in self._rules[number]:
            if element.kind is Kind.ALTERNATIVE and at_start:
                self._may_be_empty.add(number)
                return
            at_start = element.kind is Kind.ALTERNATIVE
