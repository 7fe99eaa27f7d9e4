"""The fields of a form, `multipart/form-data`.

Mirrors vendor/cpp-httplib/httplib.cpp (`FormDataParser`).
"""

from mockserver.core.httplib.field_values import parameters
from mockserver.core.httplib.request_head import RefusedHead, RequestHead, decode_path

_LONGEST_BOUNDARY = 70
_DISPOSITION = b"form-data;"
_UTF_8 = b"utf-8''"


class BadForm(Exception):
    """The body is no form of this boundary."""


def boundary_of(content_type: bytes) -> bytes:
    """The boundary that a `Content-Type` names. Raises BadForm."""
    boundary = parameters(content_type.partition(b";")[2]).get(b"boundary", b"")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise BadForm
    return boundary


def text_fields(body: bytes, boundary: bytes) -> dict[bytes, list[bytes]]:
    """The values of each field that is no file, by name, in the order of the names. Raises BadForm."""
    fields: dict[bytes, list[bytes]] = {}
    _, found, rest = body.partition(b"--" + boundary + b"\r\n")
    if not found:
        raise BadForm
    while True:
        name, file_name, rest = _part_head(rest)
        content, found, rest = rest.partition(b"\r\n--" + boundary)
        if not found or rest[:2] not in (b"\r\n", b"--"):
            raise BadForm
        if not file_name:
            fields.setdefault(name, []).append(content)
        if rest[:2] == b"--":
            return dict(sorted(fields.items()))
        rest = rest[2:]


def _part_head(text: bytes) -> tuple[bytes, bytes, bytes]:
    """The name and the file's name in the head of a part, and what follows the head."""
    name = file_name = b""
    head = RequestHead(b"", b"", b"")
    while True:
        line, found, text = text.partition(b"\r\n")
        if not found:
            raise BadForm
        if not line:
            return name, file_name, text
        try:
            head.add_field(line)
        except RefusedHead as error:
            raise BadForm from error
        key, value = head.fields[-1]
        if key.lower() == b"content-disposition" and value[: len(_DISPOSITION)].lower() == _DISPOSITION:
            name, file_name = _names(parameters(value[len(_DISPOSITION) :]), file_name)


def _names(given: dict[bytes, bytes], file_name: bytes) -> tuple[bytes, bytes]:
    if b"name" not in given:
        raise BadForm
    if b"filename*" not in given:
        return given[b"name"], given.get(b"filename", file_name)
    encoded = given[b"filename*"]
    if len(encoded) <= len(_UTF_8) or encoded[: len(_UTF_8)].lower() != _UTF_8:
        raise BadForm
    return given[b"name"], decode_path(encoded[len(_UTF_8) :])
