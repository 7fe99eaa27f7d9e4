"""JSON values as C++ types: what converts, what a number becomes, and the complaints about the rest.

Mirrors common/json.cpp (`get<T>`, `at`, how a value is walked) and tools/server/server-common.h (`json_value`). A
number that C++ cannot hold becomes what x86-64 makes of it.
"""

import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mockserver.core.nlohmann_json import JsonError, kind, type_error

T = TypeVar("T")
_LEAST_INT64, _PAST_UINT64 = -(2**63), 2**64


def _wrong_type(expected: str, value: Any) -> JsonError:
    return JsonError(type_error(expected, value))


def _number(value: Any, *, booleans: bool) -> int | float:
    """The number of a value; numbers wider than 64 bits are parsed as doubles."""
    if isinstance(value, bool):
        if not booleans:
            raise _wrong_type("number", value)
        return int(value)
    if isinstance(value, int):
        return value if _LEAST_INT64 <= value < _PAST_UINT64 else float(value)
    if not isinstance(value, float):
        raise _wrong_type("number", value)
    return value


def _wrapped(number: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (number + half) % (1 << bits) - half


def _truncated(number: float, bits: int) -> int:
    """A double as a signed integer: what does not fit is the lowest."""
    lowest = -(1 << (bits - 1))
    return int(number) if math.isfinite(number) and lowest <= int(number) < -lowest else lowest


def as_int(value: Any) -> int:
    """`get<int32_t>`: true is 1, too wide a number keeps its low bits; raises JsonError."""
    number = _number(value, booleans=True)
    return _wrapped(number, 32) if isinstance(number, int) else _truncated(number, 32)


def as_uint(value: Any) -> int:
    """`get<uint32_t>`: -1 is 4294967295; raises JsonError."""
    number = _number(value, booleans=True)
    return (number if isinstance(number, int) else _truncated(number, 64)) % 2**32


def as_long(value: Any) -> int:
    """`get<int64_t>`, which takes no boolean; raises JsonError."""
    number = _number(value, booleans=False)
    return _wrapped(number, 64) if isinstance(number, int) else _truncated(number, 64)


def as_float(value: Any) -> float:
    """`get<float>`, infinite for what is too large; raises JsonError."""
    number = _number(value, booleans=True)
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def as_bool(value: Any) -> bool:
    """`get<bool>`; raises JsonError."""
    if not isinstance(value, bool):
        raise _wrong_type("boolean", value)
    return value


def as_text(value: Any) -> str:
    """`get<std::string>`; raises JsonError."""
    if not isinstance(value, str):
        raise _wrong_type("string", value)
    return value


def as_array(value: Any) -> list[Any]:
    """An array of anything; raises JsonError."""
    if not isinstance(value, list):
        raise _wrong_type("array", value)
    return value


def as_ints(value: Any) -> list[int]:
    """`get<std::vector<int>>`; raises JsonError."""
    return [as_int(item) for item in as_array(value)]


def as_texts(value: Any) -> list[str]:
    """`get<std::vector<std::string>>`; raises JsonError."""
    return [as_text(item) for item in as_array(value)]


def is_integer(value: Any) -> bool:
    """Whether a number was written without a fraction or an exponent."""
    return isinstance(value, int) and not isinstance(value, bool)


def contains(value: Any, key: str) -> bool:
    """Whether a value is an object with this key."""
    return isinstance(value, dict) and key in value


def at(value: Any, key: str) -> Any:
    """The value of a key; raises JsonError."""
    if not isinstance(value, dict):
        raise JsonError(f"[json.exception.type_error.304] cannot use at() with {kind(value)}")
    if key not in value:
        raise JsonError(f"[json.exception.out_of_range.403] key '{key}' not found")
    return value[key]


def value_or(body: Any, key: str, read: Callable[[Any], T], default: T) -> T:
    """`json_value`: what a key holds, the default when it is absent, null or of another type."""
    if not contains(body, key) or body[key] is None:
        return default
    try:
        return read(body[key])
    except JsonError:
        return default


def anything(value: Any) -> Any:
    """`get<json>`: takes every type."""
    return value


def value_of(body: Any, key: str) -> Any:
    """What a key holds, of any type; None when it is absent."""
    return body[key] if contains(body, key) else None


def text_of(body: Any, key: str, default: str = "") -> str:
    """`json_value` of a string."""
    return value_or(body, key, as_text, default)


def items(value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values as `items()` gives them: a list has places, a plain value an empty key, null none."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(place), item) for place, item in enumerate(value))
    elif value is not None:
        yield "", value


def elements(value: Any) -> Iterator[Any]:
    """What a range-based loop walks over."""
    return (item for _, item in items(value))
