"""The one way in which an answer's body is framed, and whether its connection may be used again."""

import pytest

from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError, checked_head

LENGTH, CHUNKED = (b"content-length", b"5"), (b"transfer-encoding", b"chunked")


def head(*lines: tuple[bytes, bytes], status: int = 200, version: str = "1.1") -> ResponseHead:
    return checked_head(status, version, list(lines))


@pytest.mark.parametrize(
    ("lines", "version", "stays"),
    [
        ((LENGTH,), "1.1", True),
        ((CHUNKED,), "1.1", True),
        ((), "1.1", False),  # the body ends with the connection
        ((LENGTH, (b"connection", b"Close")), "1.1", False),
        ((LENGTH, (b"connection", b"keep-alive"), (b"connection", b"close")), "1.1", False),
        ((LENGTH, (b"connection", b"close"), (b"connection", b"keep-alive")), "1.1", False),
        ((LENGTH,), "1.0", False),
        ((LENGTH, (b"connection", b"x"), (b"connection", b"Keep-Alive")), "1.0", True),
    ],
)
def test_a_connection_stays_only_if_all_that_is_said_allows_it(
    lines: tuple[tuple[bytes, bytes], ...], version: str, stays: bool
) -> None:
    assert head(*lines, version=version).keep_alive is stays


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none_whatever_its_headers_say(status: int) -> None:
    for lines in ((LENGTH,), (CHUNKED,), ()):
        told = head(*lines, status=status)
        assert (told.length, told.chunked, told.keep_alive) == (0, False, True)


@pytest.mark.parametrize(
    "lines",
    [
        (LENGTH, LENGTH),
        (LENGTH, (b"content-length", b"6")),
        (CHUNKED, CHUNKED),
        (CHUNKED, (b"transfer-encoding", b"identity")),
        (LENGTH, CHUNKED),
        (LENGTH, CHUNKED, LENGTH),
    ],
)
def test_a_length_that_is_stated_more_than_once_is_refused(lines: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(UpstreamError, match="more than once"):
        head(*lines)


def test_of_another_header_that_comes_again_the_first_counts() -> None:
    told = head((b"content-type", b"text/plain"), LENGTH, (b"content-type", b"text/html"))
    assert told.headers == {b"content-type": b"text/plain", b"content-length": b"5"}


@pytest.mark.parametrize(
    ("content_type", "streams"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b" text/event-stream ;x", True),
        (b"text/event-streams", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_an_event_stream_is_known_by_its_type(content_type: bytes, streams: bool) -> None:
    assert head((b"content-type", content_type), CHUNKED).streams is streams
