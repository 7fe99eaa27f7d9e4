"""JSON bytes to tokens, one at a time, with the place that a complaint names.

Mirrors vendor/nlohmann/json.hpp (`lexer`): `read` counts bytes as its `position.chars_read_total`, the end of input as
one more, and what was last read begins at the last string or number, since only these clear its `token_string`.
"""

import json
import re
from enum import Enum
from typing import Any

_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(rb"[ \t\n\r]*")
_DIGITS = re.compile(rb"[0-9]*")
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)?")
_LEAST, _GREATEST = -(2**63), 2**64 - 1
_LITERALS: dict[bytes, tuple[bytes, Any]] = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_ESCAPED = frozenset(b'"\\/bfnrt')
_CONTINUATION = (0x80, 0xBF)
_TWO_BYTES = range(0xC2, 0xE0)
_CONTROL_CHARACTERS = """
NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US
"""
_CONTROL_NAMES = tuple(_CONTROL_CHARACTERS.split())
_SHORT_ESCAPES = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r"}
_PLAIN = re.compile(rb"[ !#-\[\]-\x7f]*")
_ILL_FORMED = "invalid string: ill-formed UTF-8 byte"
_NO_HEX = "invalid string: '\\u' must be followed by 4 hex digits"
_NO_LOW = "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF"
_NO_HIGH = "invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF"


class Token(Enum):
    """What the lexer found; the value is its name in a complaint."""

    VALUE = "value"
    BEGIN_ARRAY = "'['"
    BEGIN_OBJECT = "'{'"
    END_ARRAY = "']'"
    END_OBJECT = "'}'"
    NAME_SEPARATOR = "':'"
    VALUE_SEPARATOR = "','"
    PARSE_ERROR = "<parse error>"
    END_OF_INPUT = "end of input"


_STRUCTURE = {
    b"[": Token.BEGIN_ARRAY,
    b"]": Token.END_ARRAY,
    b"{": Token.BEGIN_OBJECT,
    b"}": Token.END_OBJECT,
    b":": Token.NAME_SEPARATOR,
    b",": Token.VALUE_SEPARATOR,
    b"": Token.END_OF_INPUT,
    b"\0": Token.END_OF_INPUT,
}


class _Invalid(Exception):
    """A token that is none; the text is the lexer's `error_message`."""


class Lexer:
    """Reads token after token. `value` is that of the last string, number or literal."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._token_start = 0
        self._ungot_newline = False
        self.read = 0
        self.value: Any = None
        self.value_name = ""
        self.error_message = ""

    def scan(self) -> Token:
        """The next token; for a parse error `error_message` says what is wrong."""
        self._ungot_newline = False
        try:
            return self._scan()
        except _Invalid as error:
            self.error_message = str(error)
            return Token.PARSE_ERROR

    @property
    def place(self) -> str:
        """Line and column, in bytes, of what was read last."""
        before = self._data[: self.read]
        column = 0 if self._ungot_newline else self.read - (before.rfind(b"\n") + 1)
        return f"line {before.count(10) + 1}, column {column}"

    @property
    def token_string(self) -> str:
        """What was read last, control characters by name, what is not UTF-8 replaced as in every error text."""
        text = self._data[self._token_start : self.read].decode("utf-8", "replace")
        return re.sub(r"[\x00-\x1f]", lambda found: f"<U+{ord(found[0]):04X}>", text)

    def _get(self) -> bytes:
        """The next byte, which is empty at the end of input."""
        self.read += 1
        return self._data[self.read - 1 : self.read]

    def _scan(self) -> Token:
        if self.read == 0 and self._data[:1] == _BOM[:1]:
            self._skip_bom()
        self.read = self._end_of(_BLANK)
        first = self._get()
        if first in _STRUCTURE:
            return _STRUCTURE[first]
        if first in _LITERALS:
            self._literal(*_LITERALS[first])
        elif first == b'"':
            self._string()
        elif first in b"-0123456789":
            self._number()
        else:
            raise _Invalid("invalid literal")
        return Token.VALUE

    def _end_of(self, pattern: re.Pattern[bytes]) -> int:
        """Where a pattern, which also matches nothing, ends from here on."""
        found = pattern.match(self._data, self.read)
        return found.end() if found else self.read

    def _skip_bom(self) -> None:
        for expected in _BOM:
            if self._get() != bytes([expected]):
                raise _Invalid("invalid BOM; must be 0xEF 0xBB 0xBF if given")

    def _literal(self, literal: bytes, value: Any) -> None:
        for expected in literal[1:]:
            if self._get() != bytes([expected]):
                raise _Invalid("invalid literal")
        self.value, self.value_name = value, f"{literal.decode()} literal"

    def _number(self) -> None:
        start = self._token_start = self.read - 1
        self.read -= 1
        self.read = self._end_of(_INTEGER)
        if self._data[start : self.read] == b"-":
            self._get()
            raise _Invalid("invalid number; expected digit after '-'")
        whole = self.read
        if self._data[self.read : self.read + 1] == b".":
            self.read += 1
            self._digits("invalid number; expected digit after '.'")
        if self._data[self.read : self.read + 1] in (b"e", b"E"):
            self.read += 1
            self._exponent()
        text = self._data[start : self.read]
        integer = int(text) if self.read == whole and len(text) < 21 else None
        fits = integer is not None and _LEAST <= integer <= _GREATEST
        self.value, self.value_name = integer if fits else float(text), "number literal"
        self._ungot_newline = self._data[self.read : self.read + 1] == b"\n"

    def _exponent(self) -> None:
        if self._data[self.read : self.read + 1] in (b"+", b"-"):
            self.read += 1
            self._digits("invalid number; expected digit after exponent sign")
        else:
            self._digits("invalid number; expected '+', '-', or digit after exponent")

    def _digits(self, complaint: str) -> None:
        end = self._end_of(_DIGITS)
        if end == self.read:
            self._get()
            raise _Invalid(complaint)
        self.read = end

    def _string(self) -> None:
        start = self._token_start = self.read - 1
        while True:
            self.read = self._end_of(_PLAIN)
            byte = self._get()
            if byte == b'"':
                break
            if not byte:
                raise _Invalid("invalid string: missing closing quote")
            if byte == b"\\":
                self._escape()
            else:
                self._character(byte[0])
        self.value, self.value_name = json.loads(self._data[start : self.read].decode()), "string literal"

    def _escape(self) -> None:
        kind = self._get()
        if kind == b"u":
            self._code_point()
        elif not kind or kind[0] not in _ESCAPED:
            raise _Invalid("invalid string: forbidden character after backslash")

    def _code_point(self) -> None:
        first = self._four_hex_digits()
        if 0xD800 <= first <= 0xDBFF:
            if self._get() != b"\\" or self._get() != b"u":
                raise _Invalid(_NO_LOW)
            if not 0xDC00 <= self._four_hex_digits() <= 0xDFFF:
                raise _Invalid(_NO_LOW)
        elif 0xDC00 <= first <= 0xDFFF:
            raise _Invalid(_NO_HIGH)

    def _four_hex_digits(self) -> int:
        code = 0
        for _ in range(4):
            digit = self._get()
            if not digit or digit not in b"0123456789abcdefABCDEF":
                raise _Invalid(_NO_HEX)
            code = code * 16 + int(digit, 16)
        return code

    def _character(self, byte: int) -> None:
        """The bytes after the first of a character that is not ASCII; raises the complaint about any other byte."""
        if byte < len(_CONTROL_NAMES):
            short = f" or \\{_SHORT_ESCAPES[byte]}" if byte in _SHORT_ESCAPES else ""
            name = f"U+{byte:04X} ({_CONTROL_NAMES[byte]})"
            raise _Invalid(f"invalid string: control character {name} must be escaped to \\u{byte:04X}{short}")
        for least, greatest in _following(byte):
            following = self._get()
            if not following or not least <= following[0] <= greatest:
                raise _Invalid(_ILL_FORMED)


def _following(first: int) -> tuple[tuple[int, int], ...]:
    """The ranges of the bytes after the first one of a character in UTF-8."""
    if first in _TWO_BYTES:
        return (_CONTINUATION,)
    if 0xE0 <= first <= 0xEF:
        second = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F)}.get(first, _CONTINUATION)
        return (second, _CONTINUATION)
    if 0xF0 <= first <= 0xF4:
        second = {0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(first, _CONTINUATION)
        return (second, _CONTINUATION, _CONTINUATION)
    raise _Invalid(_ILL_FORMED)
