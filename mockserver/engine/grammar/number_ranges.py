"""Whole numbers between two bounds, as a grammar: digit by digit.

Mirrors common/json-schema-to-grammar.cpp (`build_min_max_int`).
"""

from mockserver.engine.grammar.json_schema import BadSchema

_DIGITS = 16
_LOWEST = -(2**63)  # negated it is itself, as a C++ int64, and means that there is no bound


class NoBounds(BadSchema):
    """A range without an end; the message is llama.cpp's."""


def integers_between(low: int | None, high: int | None) -> str:
    """The rule for integers from `low` to `high`, of which one may be missing."""
    return _between(low, high, _DIGITS, top=True)


def _between(low: int | None, high: int | None, digits: int, *, top: bool) -> str:
    if low is not None and high is not None:
        return _both(low, high, digits)
    fewer = max(digits - 1, 1)
    if low is not None:
        return _at_least(low, digits, fewer, top=top)
    if high is None:
        raise NoBounds("At least one of min_value or max_value must be set")
    if high < 0:
        return f'"-" ({_between(-high if high != _LOWEST else None, None, digits, top=False)})'
    negative = f'"-" [1-9] {_more(0, fewer)} | ' if top else ""
    return negative + _between(0, high, digits, top=True)


def _both(low: int, high: int, digits: int) -> str:
    if low < 0 and high < 0:
        return f'"-" ({_between(-high, -low, digits, top=True)})'
    parts: list[str] = []
    if low < 0:
        parts.append(f'"-" ({_between(0, -low, digits, top=True)})')
        low = 0
    first, last = str(low), str(high)
    for length in range(len(first), len(last)):
        parts.append(_uniform(first, "9" * length))
        first = "1" + "0" * length
    parts.append(_uniform(first, last))
    return " | ".join(parts)


def _at_least(low: int, digits: int, fewer: int, *, top: bool) -> str:
    start = "1" if top else "0"
    if low < 0:
        return f'"-" ({_between(None, -low, digits, top=False)}) | [0] | [1-9] {_more(0, digits - 1)}'
    if low == 0:
        return f"[0] | [1-9] {_more(0, fewer)}" if top else _more(1, digits)
    text = str(low)
    first = text[0]
    if len(text) == 1:
        below = f"{_range(start, chr(ord(first) - 1))} {_more(1, fewer)} | " if first > start else ""
        return f"{below}{_range(first, '9')} {_more(0, fewer)}"
    below = f"{_range(start, chr(ord(first) - 1))} {_more(len(text), fewer)} | " if first > "1" else ""
    same = f"{_range(first, first)} ({_between(int(text[1:]), None, fewer, top=False)})"
    above = f" | {_range(chr(ord(first) + 1), '9')} {_more(len(text) - 1, fewer)}" if first < "9" else ""
    return below + same + above


def _range(first: str, last: str) -> str:
    return f"[{first}]" if first == last else f"[{first}-{last}]"


def _more(least: int, most: int) -> str:
    if least == most:
        return "[0-9]" if least == 1 else f"[0-9]{{{least}}}"
    return f"[0-9]{{{least},{most}}}"


def _uniform(first: str, last: str) -> str:
    """Numbers between two of the same length; they may begin with zeros."""
    same = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    if same is None:
        return f'"{first[: len(last)]}"' if first else ""
    start = f'"{first[:same]}" ' if same else ""
    low, high = first[same], last[same]
    rest_low, rest_high = first[same + 1 :], last[same + 1 :]
    if not rest_low:
        return f"{start}[{low}-{high}]"
    return f"{start}({_with_rest(low, high, rest_low, rest_high)})"


def _with_rest(low: str, high: str, rest_low: str, rest_high: str) -> str:
    length = len(rest_low)
    zeros, nines = "0" * length, "9" * length
    before_high = chr(ord(high) - 1)
    reaches_high = False
    if rest_low == zeros:
        text = f"{_range(low, before_high)} {_more(length, length)}"
    else:
        text = f"[{low}] ({_uniform(rest_low, nines)})"
        if low < before_high:
            reaches_high = rest_high == nines
            text += f" | {_range(chr(ord(low) + 1), high if reaches_high else before_high)} {_more(length, length)}"
    return text if reaches_high else f"{text} | {_range(high, high)} {_uniform(zeros, rest_high)}"
