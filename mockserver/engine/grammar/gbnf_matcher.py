"""Whether a text can be the beginning of one that a grammar allows.

Mirrors src/llama-grammar.cpp (`llama_grammar_advance_stack`, `llama_grammar_accept`).
"""

from collections.abc import Iterator
from typing import Any

from mockserver.engine.grammar.gbnf_parser import Kind, parse_grammar
from mockserver.engine.grammar.gbnf_symbols import allows_char, split_alternatives
from mockserver.engine.model.tokenizer import Vocabulary

_Stack = tuple[Any, ...]
"""What is still to come: rule, alternative and place of the next symbol, and the stack below; empty at the end."""


def allows_beginning(grammar: str, beginning: str, vocabulary: Vocabulary) -> bool:
    """Whether the grammar allows a text that begins so; raises BadGrammar."""
    rules, root = parse_grammar(grammar, vocabulary)
    matcher = _Matcher([split_alternatives(rule) for rule in rules])
    stacks = set(matcher.entered(root, ()))
    for char in beginning:
        stacks = {after for stack in stacks for after in matcher.accepted(stack, char)}
    return bool(stacks)


class _Matcher:
    def __init__(self, rules: list[list[list[Any]]]) -> None:
        self._rules = rules

    def entered(self, rule: int, below: _Stack) -> Iterator[_Stack]:
        """The stacks with which a rule may begin, a character's set on top of each."""
        for alternative in range(len(self._rules[rule])):
            yield from self._advanced((rule, alternative, 0, below))

    def accepted(self, stack: _Stack, char: str) -> Iterator[_Stack]:
        """The stacks after a character, none if it does not fit."""
        if stack:
            rule, alternative, place, below = stack
            if allows_char(self._rules[rule][alternative][place], char):
                yield from self._advanced((rule, alternative, place + 1, below))

    def _advanced(self, stack: _Stack) -> Iterator[_Stack]:
        if not stack:
            yield stack
            return
        rule, alternative, place, below = stack
        symbols = self._rules[rule][alternative]
        if place == len(symbols):
            yield from self._advanced(below)
        elif symbols[place][0].kind is Kind.RULE:
            after = (rule, alternative, place + 1, below) if place + 1 < len(symbols) else below
            yield from self.entered(symbols[place][0].value, after)
        else:
            yield stack
