"""JSON the way llama-server reads and writes it: compact, order kept, UTF-8 unescaped, nlohmann's complaints.

Mirrors common/json.cpp.
"""

import json
import math
import re
import struct
from typing import Any

import orjson

from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann.parser import BadJson, parse

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


_PRETTY = json.JSONEncoder(ensure_ascii=False, indent=2, check_circular=False)
_ODD_FLOAT = r"[1-9][0-9]{15}\.[0-9]+|Infinity|NaN"
_HAS_ODD_FLOAT = re.compile(_ODD_FLOAT)
_STRING_OR_ODD_FLOAT = re.compile(rf'"(?:[^"\\]|\\.)*"|-?(?:{_ODD_FLOAT})')


def dump(value: Any, *, pretty: bool = False) -> str:
    """JSON text, compact or indented by two blanks."""
    text = (_PRETTY if pretty else _ENCODER).encode(value)
    return _STRING_OR_ODD_FLOAT.sub(_as_nlohmann, text) if _HAS_ODD_FLOAT.search(text) else text


def dump_bytes(value: Any) -> bytes:
    """Compact JSON as UTF-8; what cannot be encoded (a lone surrogate) is replaced."""
    return dump(value).encode("utf-8", "replace")


def _as_nlohmann(found: re.Match[str]) -> str:
    """A float as nlohmann writes it where Python does not: an exponent from 1e15 on, null for what is not finite."""
    text = found[0]
    if text.startswith('"'):
        return text
    number = float(text)
    if not math.isfinite(number):
        return "null"
    sign, digits = ("-" if number < 0 else ""), text.lstrip("-").replace(".", "").rstrip("0")
    fraction = digits[1:] and f".{digits[1:]}"
    return f"{sign}{digits[0]}{fraction}e+15"


def float32(value: float) -> float:
    """A number after its stay in a C++ float: 0.8 becomes 0.800000011920929."""
    return float(struct.unpack("f", struct.pack("f", min(max(value, -_LARGEST), _LARGEST)))[0])


def kind(value: Any) -> str:
    """nlohmann's word for a value's type."""
    return KINDS[type(value)]


def type_error(expected: str, value: Any) -> str:
    """The complaint about a value of another type."""
    return f"[json.exception.type_error.302] type must be {expected}, but is {kind(value)}"


def invalid_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    """The complaint about writing a string that is not UTF-8."""
    prefix = "[json.exception.type_error.316] "
    if error.end == len(data) and "unexpected end" in error.reason:
        return f"{prefix}incomplete UTF-8 string; last byte: 0x{data[-1]:02X}"
    index = error.end if error.reason == "invalid continuation byte" else error.start
    return f"{prefix}invalid UTF-8 byte at index {index}: 0x{data[index]:02X}"


class JsonError(ApiError):
    """An error of the JSON library, which llama-server answers with 400 unless a handler catches it.

    Mirrors common/json.h (`common_json_error`) and tools/server/server.cpp (`ex_wrapper`).
    """

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


def load(text: bytes) -> Any:
    """The value of a JSON text. Raises JsonError with nlohmann's words.

    orjson refuses all that nlohmann refuses and gives equal values; the slow parser finds the words, and reads what
    nlohmann alone takes: a byte order mark, what follows a NUL, any depth.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return parse(text)
    except BadJson as error:
        raise JsonError(str(error)) from error


def loads_or_empty(text: str) -> Any:
    """The JSON of a text, or an empty object when it was cut off."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}
