"""JSON bytes to a value, or to the complaint of nlohmann's parser.

Mirrors vendor/nlohmann/json.hpp (`parser::sax_parse_internal`): a loop, so that no depth is too deep. Of a key that is
there twice, the last value counts, at the place of the first.
"""

import math
from typing import Any

from mockserver.core.nlohmann.lexer import Lexer, Token

_VALUE = "'[', '{', or a literal"
_EMPTY = "attempting to parse an empty input; check that your input string or stream contains the expected JSON"


class BadJson(ValueError):
    """The text is no JSON; the message is that of nlohmann's exception."""


def parse(data: bytes) -> Any:
    """The value of a JSON text. Raises BadJson."""
    return _Document(data).parse()


class _Document:
    """One text being read; `_token` is the last token of it, `_open` the arrays and objects that are not closed yet."""

    def __init__(self, data: bytes) -> None:
        self._lexer = Lexer(data)
        self._token = Token.PARSE_ERROR
        self._roots: list[Any] = []
        self._open: list[list[Any] | dict[str, Any]] = []
        self._key = ""

    def parse(self) -> Any:
        """Read it whole; its value."""
        self._next()
        while not self._value() or self._another():
            pass
        if self._next() is not Token.END_OF_INPUT:
            raise self._unexpected("value", Token.END_OF_INPUT.value)
        return self._roots[0]

    def _next(self) -> Token:
        self._token = self._lexer.scan()
        return self._token

    def _value(self) -> bool:
        """Read a value, or the beginning of one; whether it is complete."""
        if self._token is Token.BEGIN_OBJECT:
            members: dict[str, Any] = {}
            self._put(members)
            if self._next() is Token.END_OBJECT:
                return True
            self._open.append(members)
            self._read_key()
            return False
        if self._token is Token.BEGIN_ARRAY:
            elements: list[Any] = []
            self._put(elements)
            if self._next() is Token.END_ARRAY:
                return True
            self._open.append(elements)
            return False
        self._put(self._plain_value())
        return True

    def _plain_value(self) -> Any:
        """A string, number or literal."""
        if self._token is Token.PARSE_ERROR:
            raise self._unexpected("value", "")
        if self._token is Token.END_OF_INPUT and self._lexer.read == 1:
            raise self._error(_EMPTY)
        if self._token is not Token.VALUE:
            raise self._unexpected("value", _VALUE)
        value = self._lexer.value
        if isinstance(value, float) and math.isinf(value):
            text = self._lexer.token_string
            raise BadJson(f"[json.exception.out_of_range.406] number overflow parsing '{text}'")
        return value

    def _put(self, value: Any) -> None:
        """Add a value to the innermost array or object."""
        inner = self._open[-1] if self._open else self._roots
        if isinstance(inner, dict):
            inner[self._key] = value
        else:
            inner.append(value)

    def _another(self) -> bool:
        """After a complete value: whether another one follows, at whose first token the lexer is then."""
        while self._open:
            in_object = isinstance(self._open[-1], dict)
            token = self._next()
            if token is Token.VALUE_SEPARATOR:
                self._next()
                if in_object:
                    self._read_key()
                return True
            if token is not (Token.END_OBJECT if in_object else Token.END_ARRAY):
                raise self._unexpected(*(("object", "'}'") if in_object else ("array", "']'")))
            self._open.pop()
        return False

    def _read_key(self) -> None:
        """Take a key, at which the lexer is, and its colon, and go on to the value."""
        if self._token is not Token.VALUE or not isinstance(self._lexer.value, str):
            raise self._unexpected("object key", "string literal")
        self._key = self._lexer.value
        if self._next() is not Token.NAME_SEPARATOR:
            raise self._unexpected("object separator", "':'")
        self._next()

    def _unexpected(self, context: str, expected: str) -> BadJson:
        lexer = self._lexer
        if self._token is Token.PARSE_ERROR:
            found = f"{lexer.error_message}; last read: '{lexer.token_string}'"
        else:
            found = f"unexpected {lexer.value_name if self._token is Token.VALUE else self._token.value}"
        wanted = f"; expected {expected}" if expected else ""
        return self._error(f"syntax error while parsing {context} - {found}{wanted}")

    def _error(self, text: str) -> BadJson:
        return BadJson(f"[json.exception.parse_error.101] parse error at {self._lexer.place}: {text}")
