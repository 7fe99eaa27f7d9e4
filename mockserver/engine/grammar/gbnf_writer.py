"""Texts that a grammar allows: what a model under a grammar would write."""

import math
import random
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain

from mockserver.engine.grammar.gbnf_parser import Kind, Rule, parse_grammar
from mockserver.engine.grammar.gbnf_symbols import allows_char, char_spans, split_alternatives
from mockserver.engine.model.tokenizer import VOCABULARIES, VOCABULARY_SIZE, Vocabulary

_SPARING = 200
"""Characters after which the shortest way out is taken."""
_LONGEST = 20_000
_ANY = "abcdefghij"
_PRINTABLE = [chr(code) for code in range(32, 127)]


class Grammar:
    """A grammar; raises BadGrammar for one that llama.cpp cannot use."""

    def __init__(self, text: str, vocabulary: Vocabulary = VOCABULARIES["chatml"]) -> None:
        rules, self._root = parse_grammar(text, vocabulary)
        self._vocabulary = vocabulary
        self._rules = [split_alternatives(rule) for rule in rules]
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
        if first.kind is Kind.CHAR_NOT:
            return rng.choice([char for char in _PRINTABLE if allows_char(symbol, char)] or [" "])
        low, high = rng.choice(list(char_spans(symbol)))
        return chr(rng.randint(low, max(low, high)))

    def _height(self, symbols: Sequence[Rule]) -> float:
        return _height(symbols, self._heights)


def _height(symbols: Sequence[Rule], heights: Sequence[float]) -> float:
    return max((heights[symbol[0].value] for symbol in symbols if symbol[0].kind is Kind.RULE), default=0)


def _heights(rules: Sequence[list[list[Rule]]]) -> list[float]:
    """How deep each rule has to go at least before it ends; infinite for one that never does."""
    heights = [math.inf] * len(rules)
    users = _users(rules)
    pending = OrderedDict.fromkeys(range(len(rules)))
    while pending:
        number, _ = pending.popitem(last=False)
        height = 1 + min(_height(one, heights) for one in rules[number])
        if height < heights[number]:
            heights[number] = height
            pending.update(dict.fromkeys(user for user in users[number] if heights[user] > 1 + height))
    return heights


def _users(rules: Sequence[list[list[Rule]]]) -> list[set[int]]:
    """The rules that name each rule."""
    users: list[set[int]] = [set() for _ in rules]
    for number, alternatives in enumerate(rules):
        for symbol in chain.from_iterable(alternatives):
            if symbol[0].kind is Kind.RULE:
                users[symbol[0].value].add(number)
    return users
