"""What a chart shows: series of numbers over time. Its drawing and its table are made of the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile

_TICKS = 4  # beside 0
_CLOCK = (15.0, 30.0, *(60.0 * one for one in (1, 2, 5, 10, 15, 30)), *(3600.0 * 2**power for power in range(40)))


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: a number, or None where there is none to tell, for each point in time."""

    name: str
    values: tuple[float | None, ...]
    is_others: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. `axis` and `exact` write a number, in short and in full; `says` is its sense in one sentence."""

    id: str
    title: str
    says: str
    times: tuple[str, ...]
    series: tuple[Series, ...]
    axis: Callable[[float], str]
    exact: Callable[[float], str]
    is_lines: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)

    def ticks(self) -> list[float]:
        """The numbers beside the axis, from 0 on to the highest that is shown: round ones, five at most."""
        columns = zip(*(series.values for series in self.series), strict=True)
        top = max((max if self.is_lines else sum)(value or 0 for value in column) for column in columns)
        step = next(one for one in _steps(self.axis) if one * _TICKS >= top)
        return [step * number for number in range(_TICKS + 1) if step * (number - 1) < top]

    def said(self, series: Series) -> list[str]:
        """What each point of a series says by itself."""
        return [
            f"{series.name}, {time}: {'' if value is None else self.exact(value)}"
            for time, value in zip(self.times, series.values, strict=True)
        ]

    def rows(self) -> list[tuple[str, list[str]]]:
        """The same as a table: for each point in time where there is something, a cell of each series."""
        found = []
        for index, time in enumerate(self.times):
            values = [series.values[index] for series in self.series]
            if any(values):
                found.append((time, ["–" if value is None else self.exact(value) for value in values]))
        return found


def compact(number: float) -> str:
    """A number as an axis has it: 950, 1.2 k, 3 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def whole(number: float) -> str:
    """A number of things."""
    return f"{number:,.0f}"


def seconds(number: float) -> str:
    """A length of time, with as many digits as one reads."""
    for size, unit in ((3600, "h"), (60, "min"), (1, "s")):
        if number >= 2 * size or (size == 1 and number >= 1):
            return f"{number / size:,.3g} {unit}" if number < 100 * size else f"{number / size:,.0f} {unit}"
    return f"{number * 1000:.3g} ms" if number else "0 s"


def percent(number: float) -> str:
    """A share of a hundred."""
    return f"{number:.0f} %"


def _steps(of: Callable[[float], str]) -> Iterator[float]:
    """Distances between ticks, from small to large; of lengths of time such as a clock has, of shares whole ones."""
    decades = (digit * 10.0**power for power in range(0 if of is percent else -4, 16) for digit in (1, 2, 5))
    return decades if of is not seconds else chain(takewhile(lambda one: one <= 10, decades), _CLOCK)
