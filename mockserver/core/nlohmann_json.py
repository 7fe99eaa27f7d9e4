"""JSON the way llama-server reads and writes it: compact, order kept, UTF-8 unescaped, nlohmann's complaints."""

import json
import math
import struct
from typing import Any

from mockserver.core.api_errors import ApiError

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)

_LARGEST = struct.unpack("f", b"\xff\xff\x7f\x7f")[0]

KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def dump(value: Any) -> str:
    """Compact JSON text."""
    return _ENCODER.encode(value)


def dump_bytes(value: Any) -> bytes:
    """Compact JSON as UTF-8; what cannot be encoded (a lone surrogate) is replaced."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


def float32(value: float) -> float:
    """A number after its stay in a C++ float: 0.8 becomes 0.800000011920929."""
    return float(struct.unpack("f", struct.pack("f", min(max(value, -_LARGEST), _LARGEST)))[0])


def kind(value: Any) -> str:
    """nlohmann's word for a value's type."""
    return KINDS[type(value)]


def type_error(expected: str, value: Any) -> str:
    """The complaint about a value of another type."""
    return f"[json.exception.type_error.302] type must be {expected}, but is {kind(value)}"


def load(body: bytes) -> Any:
    """Parse a request body; raises ApiError 500 with nlohmann's text, as the real handler does."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ApiError(500, _complaint(body, error)) from error


class _Overflow(ValueError):
    """A number that no C++ double holds."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Overflow(text)
    return value


def loads_or_empty(text: str) -> Any:
    """The JSON of a text, or an empty object when it was cut off."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}


def _complaint(body: bytes, error: Exception) -> str:
    """nlohmann's parse error; exact for an empty or a cut document, of the same form for others."""
    if isinstance(error, _Overflow):
        return f"[json.exception.out_of_range.406] number overflow parsing '{error}'"
    prefix = "[json.exception.parse_error.101] parse error at line "
    if not body.strip():
        line = body.count(b"\n") + 1
        return (
            f"{prefix}{line}, column {len(body) + 1}: attempting to parse an empty input; check that your input "
            "string or stream contains the expected JSON"
        )
    text = body.decode("utf-8", "replace")
    position = error.pos if isinstance(error, json.JSONDecodeError) else 0
    if not text[position:].strip():
        position = len(text)
    before = text[:position]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    where = f"{prefix}{line}, column {column}: syntax error while parsing value - "
    if position == len(text):
        return where + "unexpected end of input; expected '[', '{', or a literal"
    return where + f"invalid literal; last read: '{text[position : position + 1]}'"
