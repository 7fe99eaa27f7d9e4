"""The elements of a grammar's rule as symbols: a set of characters, a token, or another rule, each in one piece."""

from collections.abc import Iterable, Iterator

from mockserver.engine.grammar.gbnf_parser import Element, Kind, Rule

_SET_GOES_ON = (Kind.CHAR_ALSO, Kind.CHAR_UP_TO)


def split_alternatives(rule: Rule) -> list[list[Rule]]:
    """A rule as its alternatives, each a list of symbols."""
    found: list[list[Rule]] = [[]]
    for element in rule:
        if element.kind is Kind.ALTERNATIVE:
            found.append([])
        elif element.kind in _SET_GOES_ON:
            found[-1][-1].append(element)
        else:
            found[-1].append([element])
    return found


def char_spans(symbol: Iterable[Element]) -> Iterator[tuple[int, int]]:
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


def allows_char(symbol: Rule, char: str) -> bool:
    """Whether a set of characters has this one; a token has none."""
    kind = symbol[0].kind
    if kind is Kind.ANY_CHAR:
        return True
    is_in = any(low <= ord(char) <= high for low, high in char_spans(symbol))
    return is_in if kind is Kind.CHAR else kind is Kind.CHAR_NOT and not is_in
