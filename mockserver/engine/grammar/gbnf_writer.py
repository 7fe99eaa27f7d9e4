"""Texts that a grammar allows: what a model under a grammar would write."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence

from mockserver.engine.grammar.gbnf_parser import Element, Kind, Rule, parse_grammar
from mockserver.engine.model.tokenizer import VOCABULARIES, VOCABULARY_SIZE, Vocabulary

_SPARING = 200
"""Characters after which the shortest way out is taken."""
_LONGEST = 20_000
_ANY = "abcdefghij"
_PRINTABLE = [chr(code) for code in range(32, 127)]
_SET_GOES_ON = (Kind.CHAR_ALSO, Kind.CHAR_UP_TO)


class Grammar:
    """A grammar; raises BadGrammar for one that llama.cpp cannot use."""

    def __init__(self, text: str, vocabulary: Vocabulary = VOCABULARIES["chatml"]) -> None:
        rules, self._root = parse_grammar(text, vocabulary)
        self._vocabulary = vocabulary
        self._rules = [_alternatives(rule) for rule in rules]
        self._heights = _heights(self._rules)

    def write(self, rng: random.Random) -> str:
        """A text that the grammar allows; empty if it has none that ends."""
        text: list[str] = []
        pending = self._choose(self._root, rng, sparing=math.isinf(self._heights[self._root]))
        while pending and len(text) < _LONGEST:
            symbol = pending.pop()
            if symbol[0].kind is Kind.RULE:
                pending += self._choose(symbol[0].value, rng, sparing=len(text) > _SPARING)
            else:
                text.append(self._char(symbol, rng))
        return "".join(text)

    def _choose(self, number: int, rng: random.Random, *, sparing: bool) -> list[Rule]:
        """The symbols of one alternative of a rule, the last first."""
        alternatives = self._rules[number]
        if sparing:
            chosen = min(alternatives, key=self._height)
        else:
            ending = [one for one in alternatives if math.isfinite(self._height(one))]
            chosen = rng.choice(ending or alternatives)
        return chosen[::-1]

    def _char(self, symbol: Rule, rng: random.Random) -> str:
        first = symbol[0]
        if first.kind is Kind.TOKEN:
            return self._vocabulary.decode([first.value]) if first.value < VOCABULARY_SIZE else ""
        if first.kind in (Kind.ANY_CHAR, Kind.TOKEN_NOT):
            return rng.choice(_ANY)
        spans = list(_spans(symbol))
        if first.kind is Kind.CHAR_NOT:
            return rng.choice([char for char in _PRINTABLE if not _is_in(char, spans)] or [" "])
        low, high = rng.choice(spans)
        return chr(rng.randint(low, max(low, high)))

    def _height(self, symbols: Sequence[Rule]) -> float:
        return _height(symbols, self._heights)


def _alternatives(rule: Rule) -> list[list[Rule]]:
    """A rule as its alternatives, each a list of symbols: a set of characters, a token or another rule."""
    found: list[list[Rule]] = [[]]
    for element in rule:
        if element.kind is Kind.ALTERNATIVE:
            found.append([])
        elif element.kind in _SET_GOES_ON:
            found[-1][-1].append(element)
        else:
            found[-1].append([element])
    return found


def _height(symbols: Sequence[Rule], heights: Sequence[float]) -> float:
    return max((heights[symbol[0].value] for symbol in symbols if symbol[0].kind is Kind.RULE), default=0)


def _heights(rules: Sequence[list[list[Rule]]]) -> list[float]:
    """How deep each rule has to go at least before it ends; infinite for one that never does."""
    heights = [math.inf] * len(rules)
    while True:
        lower = [1 + min(_height(one, heights) for one in alternatives) for alternatives in rules]
        if lower == heights:
            return heights
        heights = lower


def _spans(symbol: Iterable[Element]) -> Iterator[tuple[int, int]]:
    """The characters of a set, as first and last of each span."""
    span: tuple[int, int] | None = None
    for element in symbol:
        if element.kind is Kind.CHAR_UP_TO and span:
            span = (span[0], element.value)
        else:
            if span:
                yield span
            span = (element.value, element.value)
    if span:
        yield span


def _is_in(char: str, spans: Iterable[tuple[int, int]]) -> bool:
    return any(low <= ord(char) <= high for low, high in spans)
