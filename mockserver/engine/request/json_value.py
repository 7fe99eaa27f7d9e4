"""Reading a JSON value the way llama-server does: what is absent, null or of another type takes a default.

Mirrors tools/server/server-common.h (`json_value`).
"""

from typing import Any


def contains(value: Any, key: str) -> bool:
    """Whether a value is an object with this key."""
    return isinstance(value, dict) and key in value


def value_of(body: Any, key: str) -> Any:
    """The value of a key, of any type; None if there is none."""
    return body[key] if contains(body, key) else None


def text_of(body: Any, key: str, default: str = "") -> str:
    """The string of a key, or the default."""
    value = value_of(body, key)
    return value if isinstance(value, str) else default


def integer_of(body: Any, key: str, default: int) -> int:
    """The number of a key as C++ makes it an `int`, true and false being 1 and 0; or the default."""
    value = value_of(body, key)
    return int(value) if isinstance(value, int | float) else default
