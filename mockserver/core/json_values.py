"""Reading a JSON value as a C++ type: what llama-server takes for a number or a text, and its words when it cannot.

Mirrors common/json.cpp (`get<T>`) and tools/server/server-common.h (`json_value`).
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from mockserver.core.nlohmann_json import JsonError, float32, kind, type_error

T = TypeVar("T")
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1


def contains(value: Any, key: str) -> bool:
    """Whether a value is an object with this key."""
    return isinstance(value, dict) and key in value


def at(value: Any, key: str) -> Any:
    """What an object has for a key. Raises JsonError."""
    if not isinstance(value, dict):
        raise JsonError(f"[json.exception.type_error.304] cannot use at() with {kind(value)}")
    if key not in value:
        raise JsonError(f"[json.exception.out_of_range.403] key '{key}' not found")
    return value[key]


def is_integer(value: Any) -> bool:
    """Whether a number was written without a fraction or an exponent."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_bool(value: Any) -> bool:
    """A `bool`. Raises JsonError."""
    if not isinstance(value, bool):
        raise JsonError(type_error("boolean", value))
    return value


def as_int(value: Any) -> int:
    """An `int` of 32 bits, as x86 makes it of any number. Raises JsonError."""
    if not isinstance(value, int | float):
        raise JsonError(type_error("number", value))
    if isinstance(value, int):
        return (value - _INT_MIN) % 2**32 + _INT_MIN
    return int(value) if math.isfinite(value) and _INT_MIN <= int(value) <= _INT_MAX else _INT_MIN


def as_float(value: Any) -> float:
    """A `float` of 32 bits. Raises JsonError."""
    if not isinstance(value, int | float):
        raise JsonError(type_error("number", value))
    return float32(value)


def as_text(value: Any) -> str:
    """A `std::string`. Raises JsonError."""
    if not isinstance(value, str):
        raise JsonError(type_error("string", value))
    return value


def as_array(value: Any) -> list[Any]:
    """An array of anything. Raises JsonError."""
    if not isinstance(value, list):
        raise JsonError(type_error("array", value))
    return value


def as_ints(value: Any) -> list[int]:
    """A `std::vector<int>`. Raises JsonError."""
    return [as_int(item) for item in as_array(value)]


def as_texts(value: Any) -> list[str]:
    """A `std::vector<std::string>`. Raises JsonError."""
    return [as_text(item) for item in as_array(value)]


def value_or(body: Any, key: str, read: Callable[[Any], T], default: T) -> T:
    """What a body has for a key, read by one of the functions above; what is missing, null or unreadable: `default`."""
    if not contains(body, key) or body[key] is None:
        return default
    try:
        return read(body[key])
    except JsonError:
        return default
