"""Texts that a grammar in llama.cpp's notation allows: what a model under a grammar would write."""

import random

from mockserver.engine.model.grammar_parser import BadGrammar, Characters, Group, Item, Literal, Rule, parse

_MANY = 4
_LONGEST = 20_000


class Grammar:
    """A grammar; raises BadGrammar when it has no root or names rules that are not there."""

    def __init__(self, text: str) -> None:
        self._rules = parse(text)
        if "root" not in self._rules:
            raise BadGrammar("the grammar has no root rule")
        for group in list(self._rules.values()):
            self._check(group)

    def _check(self, group: Group) -> None:
        for item in (item for alternative in group.alternatives for item in alternative):
            if isinstance(item.what, Rule) and item.what.name not in self._rules:
                raise BadGrammar(f"undefined rule {item.what.name!r}")
            if isinstance(item.what, Group):
                self._check(item.what)

    def write(self, rng: random.Random) -> str:
        """A text that the grammar allows; recursion is left as soon as it can be."""
        text: list[str] = []
        pending: list[Group | Item] = [self._rules["root"]]
        while pending and len(text) < _LONGEST:
            step = pending.pop()
            if isinstance(step, Group):
                plain = [one for one in step.alternatives if not any(isinstance(i.what, Rule) for i in one)]
                pending += reversed(rng.choice(plain or step.alternatives))
                continue
            most = step.most if step.most is not None else max(step.least, _MANY)
            times = rng.randint(step.least, max(step.least, most)) if len(pending) < _MANY**3 else step.least
            what = step.what
            for _ in range(times):
                if isinstance(what, Literal):
                    text.append(what.text)
                elif isinstance(what, Characters):
                    text.append(rng.choice(what.choices or [""]))
            if isinstance(what, Rule | Group):
                pending += [self._rules[what.name] if isinstance(what, Rule) else what] * times
        return "".join(text)
