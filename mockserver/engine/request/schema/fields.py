"""The kinds of fields in the schema of a completion request: what a name may hold, and where the value goes.

Mirrors tools/server/server-schema.h (`field_num`, `field_bool`, `field_nested` and those with a handler).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import (
    as_bool,
    as_float,
    as_int,
    as_long,
    as_uint,
    contains,
)
from mockserver.core.nlohmann_json import JsonError

Values = dict[str, Any]
"""What has been read so far, by the name under which `generation_settings` shows it; full of defaults at first."""

INT32_MAX = 2**31 - 1
_FLOAT_MAX = (2 - 2**-23) * 2.0**127


class Field(Protocol):
    """A field of a body."""

    @property
    def names(self) -> Sequence[str]:
        """Its names, the first of which goes before the others."""

    def read(self, values: Values, data: Any, name: str) -> None:
        """Read the field from a body that has it under this name; raises ApiError or ValueError."""


@dataclass(frozen=True)
class Number:
    """A number of a C++ type, kept within its limits: refused outside of `hard` ones, else moved to the nearest."""

    names: Sequence[str]
    convert: Callable[[Any], Any]
    show: Callable[[Any], str]
    low: float
    high: float
    hard: bool = False

    def read(self, values: Values, data: Any, name: str) -> None:
        """Read the number."""
        number = self.convert(data[name])
        if self.hard and not self.low <= number <= self.high:
            limits = f"{self.show(self.low)} <= value <= {self.show(self.high)}"
            raise JsonError(f"Value must be between {limits}, but got {self.show(number)}")
        values[self.names[0]] = max(self.low, min(self.high, number))


@dataclass(frozen=True)
class Boolean:
    """True or false."""

    names: Sequence[str]

    def read(self, values: Values, data: Any, name: str) -> None:
        """Read the boolean."""
        values[self.names[0]] = as_bool(data[name])


@dataclass(frozen=True)
class Handled:
    """A field with a handler of its own, which is given the whole body."""

    names: Sequence[str]
    handler: Callable[[Values, Any], None]

    def read(self, values: Values, data: Any, name: str) -> None:
        """Call the handler, whichever of the names was found."""
        del name
        self.handler(values, data)


@dataclass(frozen=True)
class Nested:
    """An object with fields of its own; of another type it counts as absent."""

    names: Sequence[str]
    fields: Sequence[Field]

    def read(self, values: Values, data: Any, name: str) -> None:
        """Read the fields within."""
        if isinstance(data[name], dict):
            evaluate(self.fields, values, data[name])


class _InnerError(ApiError):
    """The complaint about a field, which names it already."""


def integer(*names: str, low: int = -INT32_MAX - 1, high: int = INT32_MAX, hard: bool = False) -> Number:
    """An `int32_t`."""
    return Number(names, as_int, str, low, high, hard)


def long_integer(*names: str, low: int) -> Number:
    """An `int64_t` with a hard lower limit."""
    return Number(names, as_long, str, low, 2**63 - 1, hard=True)


def unsigned_integer(*names: str) -> Number:
    """A `uint32_t`."""
    return Number(names, as_uint, str, 0, 2**32 - 1)


def decimal(*names: str, low: float = -_FLOAT_MAX, high: float = _FLOAT_MAX, hard: bool = False) -> Number:
    """A `float`; limits are floats too."""
    return Number(names, as_float, "{:f}".format, as_float(low), as_float(high), hard)


def evaluate(fields: Sequence[Field], values: Values, data: Any) -> None:
    """Read all fields in their order; a null counts as absent. Raises the 400 that names the first wrong one."""
    for field in fields:
        for name in field.names:
            if not contains(data, name) or data[name] is None:
                continue
            try:
                field.read(values, data, name)
            except _InnerError:
                raise
            except ApiError as error:
                raise _InnerError(400, f"Field '{name}': {error.message}") from error
            except ValueError as error:
                raise _InnerError(400, f"Field '{name}': {error}") from error
            break


def finite(number: float) -> float | None:
    """A float as JSON shows it: null for one that is none."""
    return number if math.isfinite(number) else None
