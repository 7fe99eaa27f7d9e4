"""The values of header fields as cpp-httplib reads them: lists, qualities, media types, numbers.

Mirrors vendor/cpp-httplib/httplib.cpp (namespace `detail`).
"""

import re
from collections.abc import Iterator, Sequence

Values = Sequence[bytes]
"""The values of all fields of one name, in the order received."""

_BLANK = b" \t"
_QUALITY = re.compile(rb"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.")
_QUOTED_OR_PART = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^;"]|")+')
_LARGEST_SIZE = 2**64 - 1


def combined(values: Values) -> bytes:
    """The values of a field that is a list, as one list."""
    return b", ".join(value for value in values if value)


def elements(value: bytes) -> Iterator[bytes]:
    """The elements of a list, without blanks around them; empty ones count for nothing."""
    return (element for part in value.split(b",") if (element := part.strip(_BLANK)))


def has_token(values: Values, token: bytes) -> bool:
    """Whether a list contains a token, in upper or lower case."""
    return any(element.lower() == token for value in values for element in elements(value))


def size(value: bytes) -> int | None:
    """A number of bytes, or None for what is not one."""
    number = int(value) if value.isdigit() and len(value) <= len(str(_LARGEST_SIZE)) else _LARGEST_SIZE + 1
    return number if number <= _LARGEST_SIZE else None


def is_accept(value: bytes) -> bool:
    """Whether the value of an `Accept` is one that the server takes."""
    return all(_is_media_range(element) for element in elements(value))


def _is_media_range(element: bytes) -> bool:
    media_type, _, parameters = element.partition(b";")
    media_type = media_type.strip(_BLANK)
    return (media_type == b"*" or b"/" in media_type) and _has_good_quality(parameters)


def _has_good_quality(parameters: bytes) -> bool:
    for parameter in parameters.split(b";"):
        text = parameter.strip(_BLANK)
        if text[:2] in (b"q=", b"Q="):
            quality = text[2:].strip(_BLANK)
            return bool(_QUALITY.fullmatch(quality)) and 0 <= float(quality) <= 1
    return True


def media_type(content_type: bytes) -> bytes:
    """The media type of a `Content-Type`, without its parameters; upper and lower case differ."""
    return content_type.partition(b";")[0].strip(_BLANK)


def parameters(text: bytes) -> dict[bytes, bytes]:
    """The parameters after a media type or a disposition; of a name that comes twice, the first counts."""
    found: dict[bytes, bytes] = {}
    for part in _QUOTED_OR_PART.findall(text):
        name, _, value = part.partition(b"=")
        if name := name.strip(_BLANK):
            found.setdefault(name, _without_quotes(value.strip(_BLANK)))
    return found


def _without_quotes(value: bytes) -> bytes:
    return value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value
