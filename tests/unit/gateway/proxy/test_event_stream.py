"""A stream that broke off anywhere ends in an error event that a reader of event streams sees."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.endpoints import ApiProtocol
from gateway.proxy.event_stream import TAIL_BYTES, error_event, finish_line

STREAMS = st.lists(
    st.sampled_from([b"data: x", b"event: y", b": ping", b"\n", b"\r\n", b"\r", b"\n\n", b"\xc3", b"d"]), max_size=8
).map(b"".join)


def events(stream: bytes) -> list[tuple[str, str]]:
    """Type and data of every event dispatched (WHATWG HTML 9.2.6)."""
    found: list[tuple[str, str]] = []
    data: list[str] = []
    kind = ""
    for line in re.split("\r\n|\n|\r", stream.decode("utf-8", "replace"))[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                found.append((kind or "message", "\n".join(data)))
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
    return found


@given(STREAMS, st.sampled_from(ApiProtocol))
def test_wherever_a_stream_breaks_the_error_is_an_event_of_its_own(sent: bytes, protocol: ApiProtocol) -> None:
    whole = sent + finish_line(sent[-TAIL_BYTES:]) + error_event(protocol, "api_error", "It broke — here.")
    kind, data = events(whole)[-1]
    error = {"type": "api_error", "message": "It broke — here."}
    if protocol is ApiProtocol.ANTHROPIC:
        assert (kind, json.loads(data)) == ("error", {"type": "error", "error": error})
    else:
        assert (kind, json.loads(data)) == ("message", {"error": error})


@given(STREAMS)
def test_nothing_is_added_to_a_stream_that_is_between_two_events(sent: bytes) -> None:
    if sent.endswith((b"\n\n", b"\r\n\r\n")):
        assert finish_line(sent[-TAIL_BYTES:]) == b""
