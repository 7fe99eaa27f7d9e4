"""The ranges of bytes that a `Range` asks for: llama-server cuts no answer, but refuses what lies outside of one.

Mirrors vendor/cpp-httplib/httplib.cpp (`parse_range_header`, `range_error`).
"""

import re

from mockserver.core.httplib.field_values import elements

Range = tuple[int, int]
"""First and last byte; -1 where the client left one out."""

_RANGE = re.compile(rb"([0-9]*)-([0-9]*)")
_LARGEST_OFFSET = 2**63 - 1
_MOST_RANGES = 1024
_MOST_OVERLAPS = 2


def parse_ranges(value: bytes) -> list[Range] | None:
    """The ranges of a `Range`, or None for a value that is refused."""
    if not value.startswith(b"bytes="):
        return None
    found = [_range(element) for element in elements(value.removeprefix(b"bytes="))]
    valid = [one for one in found if one is not None]
    return valid if valid and len(valid) == len(found) else None


def _range(element: bytes) -> Range | None:
    match = _RANGE.fullmatch(element)
    if not match:
        return None
    first = int(match[1]) if match[1] else -1
    last = int(match[2]) if match[2] else -1
    last = -1 if last > _LARGEST_OFFSET else last
    if first > _LARGEST_OFFSET or first == last == -1 or (-1 not in (first, last) and first > last):
        return None
    return first, last


def are_within(asked: list[Range], length: int) -> bool:
    """Whether an answer of some length has all the ranges, few enough of them and not too many one over another."""
    seen: list[Range] = []
    overlaps = 0
    for one in asked:
        first, last = _of_length(one, length)
        if not 0 <= first <= last:
            return False
        overlaps += any(last >= other_first and first <= other_last for other_first, other_last in seen)
        seen.append((first, last))
    return len(asked) <= _MOST_RANGES and overlaps <= _MOST_OVERLAPS


def _of_length(asked: Range, length: int) -> Range:
    """A range of an answer, with what was left out: of `-N` it is the first byte, of `N-` the last."""
    first, last = asked
    if first == -1:
        return length - last, length - 1
    return first, length - 1 if last == -1 or last >= length else last
