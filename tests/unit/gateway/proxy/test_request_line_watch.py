"""Requests of other protocols are noticed, whatever stands before them, in a time that grows with the bytes alone."""

import pytest

from gateway.proxy.request_line_watch import RequestLineWatch

OTHER = b"SETUP rtsp://camera/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\n\r\n", b"the end of a body", b"AND OF A BODY-", b"A B C "])
def test_it_is_found_behind_whatever_stands_before_it(before: bytes) -> None:
    watch = RequestLineWatch()
    watch.see(before + OTHER, requests=2, in_body=False)
    assert watch.found


@pytest.mark.parametrize("body", [b"A", b"A ", b"A A", b"A-_"])
def test_a_body_of_capital_letters_is_looked_at_once(body: bytes) -> None:
    # In quadratic time this would take days, and the test would be ended.
    watch = RequestLineWatch()
    watch.see(body * 4_000_000 + b"GET / HTTP/1.1\r\n\r\n", requests=1, in_body=True)
    assert not watch.found
