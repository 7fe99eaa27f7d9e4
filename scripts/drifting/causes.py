"""Differences put together by what causes them, each with the smallest request that shows it."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from scripts.drifting.comparison import Difference
from scripts.drifting.exchange import Request
from scripts.drifting.generating.mutation import at, paths

_DIGITS = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_TRIES = 40


@dataclass(slots=True)
class Cause:
    """Requests that differ in the same way; `request` is the smallest of them."""

    mode: str
    difference: Difference
    request: Request
    hits: int = 0
    families: set[str] = field(default_factory=set)


class Causes:
    """All causes that were seen, those with most hits first."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str, ...], Cause] = {}

    def add(self, mode: str, request: Request, difference: Difference) -> None:
        """Count a difference."""
        cause = self._causes.setdefault(signature(request, difference), Cause(mode, difference, request))
        cause.hits += 1
        cause.families.add(request.about)
        if len(request.encoded()) < len(cause.request.encoded()):
            cause.mode, cause.request, cause.difference = mode, request, difference

    def __iter__(self) -> Iterator[Cause]:
        return iter(sorted(self._causes.values(), key=lambda cause: -cause.hits))

    def __len__(self) -> int:
        return len(self._causes)


def signature(request: Request, difference: Difference) -> tuple[str, ...]:
    """What differences of one cause have in common: the choice; or else place and words, without names and numbers."""
    if difference.choice:
        return (difference.choice,)
    words = (_DIGITS.sub("N", _QUOTED.sub("Q", text)) for text in (difference.real, difference.mock))
    return difference.where, *words, request.path.partition("?")[0] if difference.where == "headers" else ""


def smallest(cause: Cause, compare: Callable[[Request], Difference | None]) -> Request:
    """The cause's request with everything left out that can be. `compare` asks both servers."""
    request, tries = cause.request, _TRIES
    expected = signature(request, cause.difference)
    is_smaller = True
    while is_smaller and tries > 0:
        is_smaller = False
        for smaller in _smaller(request):
            tries -= 1
            found = compare(smaller)
            if found is not None and signature(smaller, found) == expected:
                request, is_smaller = smaller, True
                break
            if tries <= 0:
                break
    return request


def _smaller(request: Request) -> Iterable[Request]:
    """The same with one thing less."""
    try:
        body = request.parsed()
    except ValueError:
        return
    for place in sorted(paths(body), key=len):
        if place:
            less = json.loads(json.dumps(body))
            del at(less, place[:-1])[place[-1]]
            yield dataclasses.replace(request, body=json.dumps(less).encode())
