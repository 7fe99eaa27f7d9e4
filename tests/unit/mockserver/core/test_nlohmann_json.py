"""JSON as nlohmann 3.12 reads and writes it; all expectations are what json.hpp of llama.cpp b11434 said."""

import pytest

from mockserver.core.nlohmann_json import JsonError, dump, load

_VALUE = "syntax error while parsing value - "
_KEY = "syntax error while parsing object key - "
_STRING = _VALUE + "invalid string: "
_ILL_FORMED = _STRING + "ill-formed UTF-8 byte; last read: "

_COMPLAINTS: tuple[tuple[bytes, int, int, str], ...] = (
    (b"{", 1, 2, _KEY + "unexpected end of input; expected string literal"),
    (b"  ", 1, 3, _VALUE + "unexpected end of input; expected '[', '{', or a literal"),
    (b"{'a':1}", 1, 2, _KEY + "invalid literal; last read: '{''; expected string literal"),
    (b'{"a":1,}', 1, 8, _KEY + "unexpected '}'; expected string literal"),
    (b'{"a":NaN}', 1, 6, _VALUE + "invalid literal; last read: '\"a\":N'"),
    (b'{"a":1}{', 1, 8, _VALUE + "unexpected '{'; expected end of input"),
    (b'{"a" 1}', 1, 6, "syntax error while parsing object separator - unexpected number literal; expected ':'"),
    (b'{"a":01}', 1, 7, "syntax error while parsing object - unexpected number literal; expected '}'"),
    (b"[1 true]", 1, 7, "syntax error while parsing array - unexpected true literal; expected ']'"),
    (b"nope", 1, 2, _VALUE + "invalid literal; last read: 'no'"),
    (b"tru", 1, 4, _VALUE + "invalid literal; last read: 'tru'"),
    (b"// c\n{}", 1, 1, _VALUE + "invalid literal; last read: '/'"),
    (b"\xef\xbb{}", 1, 3, _VALUE + "invalid BOM; must be 0xEF 0xBB 0xBF if given; last read: '\ufffd{'"),
    (b"[1,\n\n x", 3, 2, _VALUE + "invalid literal; last read: '1,<U+000A><U+000A> x'"),
    (b"{1\n:2}", 1, 0, _KEY + "unexpected number literal; expected string literal"),
    (b"[-]", 1, 3, _VALUE + "invalid number; expected digit after '-'; last read: '-]'"),
    (b"[1.]", 1, 4, _VALUE + "invalid number; expected digit after '.'; last read: '1.]'"),
    (b"[1e]", 1, 4, _VALUE + "invalid number; expected '+', '-', or digit after exponent; last read: '1e]'"),
    (b"[1e+]", 1, 5, _VALUE + "invalid number; expected digit after exponent sign; last read: '1e+]'"),
    (b'"abc', 1, 5, _STRING + "missing closing quote; last read: '\"abc'"),
    (b'"\\x"', 1, 3, _STRING + "forbidden character after backslash; last read: '\"\\x'"),
    (b'"\\u12g4"', 1, 6, _STRING + "'\\u' must be followed by 4 hex digits; last read: '\"\\u12g'"),
    (
        b'"\\ud83d"',
        1,
        8,
        _STRING + "surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF; last read: '\"\\ud83d\"'",
    ),
    (
        b'"\\udc00"',
        1,
        7,
        _STRING + "surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF; last read: '\"\\udc00'",
    ),
    (
        b'"\t"',
        1,
        2,
        _STRING + "control character U+0009 (HT) must be escaped to \\u0009 or \\t; last read: '\"<U+0009>'",
    ),
    (
        b'"\x1f"',
        1,
        2,
        _STRING + "control character U+001F (US) must be escaped to \\u001F; last read: '\"<U+001F>'",
    ),
    (b'{"a":"\xff"}', 1, 7, _ILL_FORMED + "'\"\ufffd'"),
    (b'"\xc3("', 1, 3, _ILL_FORMED + "'\"\ufffd('"),
    (b'"\xed\xa0\x80"', 1, 3, _ILL_FORMED + "'\"\ufffd\ufffd'"),
    (b'"\xf4\x90\x80\x80"', 1, 3, _ILL_FORMED + "'\"\ufffd\ufffd'"),
)


@pytest.mark.parametrize(("text", "line", "column", "complaint"), _COMPLAINTS)
def test_what_is_no_json_is_refused_in_nlohmanns_words(text: bytes, line: int, column: int, complaint: str) -> None:
    with pytest.raises(JsonError) as refused:
        load(text)
    prefix = f"[json.exception.parse_error.101] parse error at line {line}, column {column}: "
    assert refused.value.message == prefix + complaint
    assert refused.value.fields()["code"] == 400


@pytest.mark.parametrize("text", [b"", b"\0"])
def test_an_empty_text_has_words_of_its_own(text: bytes) -> None:
    with pytest.raises(JsonError, match=r"line 1, column 1: attempting to parse an empty input; check that your"):
        load(text)


@pytest.mark.parametrize("number", ["1e999", "-1e400", "9" * 400])
def test_a_number_that_no_double_holds_is_out_of_range(number: str) -> None:
    with pytest.raises(JsonError) as refused:
        load(f"[{number}\n]".encode())
    assert refused.value.message == f"[json.exception.out_of_range.406] number overflow parsing '{number}'"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"\xef\xbb\xbf{}", "{}"),
        (b'{"a":1}\0what follows a NUL', '{"a":1}'),
        (b'{"a":1,"b":2,"a":[3]}', '{"a":[3],"b":2}'),
        (b"[18446744073709551615,18446744073709551616]", "[18446744073709551615,1.8446744073709552e+19]"),
        (b"[-9223372036854775808,-9223372036854775809]", "[-9223372036854775808,-9.223372036854776e+18]"),
        (b"[-0,-0.0,1E2,5e-324]", "[0,-0.0,100.0,5e-324]"),
        (b"[100000000000000.0,1e15,-1234567890123456.0]", "[100000000000000.0,1e+15,-1.234567890123456e+15]"),
        (b'["\\ud83d\\ude00\\u00e9\\/",1e15,"1000000000000000.0"]', '["😀é/",1e+15,"1000000000000000.0"]'),
        (b'"\\u0001\\u007f"', '"\\u0001\x7f"'),
    ],
)
def test_values_are_read_and_written_as_by_nlohmann(text: bytes, written: str) -> None:
    assert dump(load(text)) == written


def test_no_depth_is_too_deep() -> None:
    value, depth = load(b"[" * 100_000 + b"]" * 100_000), 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 99_999


def test_json_can_be_indented() -> None:
    assert (
        dump([{"a": [], "b": {"c": 1}}], pretty=True) == '[\n  {\n    "a": [],\n    "b": {\n      "c": 1\n    }\n  }\n]'
    )
