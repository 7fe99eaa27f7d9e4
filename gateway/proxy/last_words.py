"""Whether an event stream that is over is whole: whether it has had the last word of its protocol.

WHATWG HTML 9.2 "Server-sent events": a blank line ends an event, and lines end in LF, CR or CRLF.
"""

import re

from gateway.core.answer.excerpt import Excerpt
from gateway.core.endpoints import LastWord
from gateway.proxy.event_stream import is_more_than_comments

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r){2}")
_USUAL_END = b"\n\ndata: [DONE]\n\n"  # looked for first: most streams end so
_GAP = b"\0"  # stands for what is not known of an event that began before what is kept; no line begins behind it
# By which an event is known to end its stream. Within JSON a quote inside a string is escaped, so none of these can be
# generated text. A native stream's last event need not have "stop": `response_fields` chooses what it has; those before
# always do.
_LAST_EVENTS = {
    LastWord.MESSAGE_STOP: rb'event: ?message_stop|data: ?\{"type": ?"message_stop"',
    LastWord.RESPONSE_OVER: rb'(?:event: ?|data: ?\{"type": ?")response\.(?:completed|incomplete|failed)\b',
    LastWord.STOP: rb'data: ?\{(?!.*"stop": ?false)',
}
_ends_with = {word: re.compile(rb"^(?:" + last + rb")", re.MULTILINE).search for word, last in _LAST_EVENTS.items()}
# Some servers send [DONE] in every protocol. "error:" is how llama-server began an error up to September 2025.
_always_ends = re.compile(
    rb'^(?:data: ?\[DONE\]|event: ?error|error:|data: ?\{"(?:error"|type": ?"error"))', re.MULTILINE
).search
_LONG = {LastWord.RESPONSE_OVER, LastWord.STOP}  # they repeat the answer, or the prompt: longer than what is kept
_NATIVE_EVENT = re.compile(rb'data: ?(?:(null)|\{(?:"index": ?(\d+))?)').match
_NATIVE_PARTIAL = re.compile(rb'"stop": ?false').search


def is_whole(stream: Excerpt, last_word: LastWord) -> bool:
    """Whether a stream, of which this is left when it is over, has had its last word, or an error in place of it.

    Where it is not known how its last event began, the event counts as the right one, if that can be as long as that.
    """
    tail = stream.last()
    if tail.endswith(_USUAL_END):
        return True
    *events, unfinished = _BLANK_LINE.split(tail) if b"\r" in tail else tail.split(b"\n\n")
    if unfinished.rstrip() == b"data: [DONE]" and (events or len(tail) == stream.size):
        return True  # some servers leave out the blank line behind it
    if unfinished.startswith((b"data:", b"event:")):
        return False
    earlier: list[bytes] = []
    if events and len(tail) < stream.size:
        earlier, events = [_GAP + events[0]], events[1:]
    while events and not is_more_than_comments(events[-1]):
        events.pop()
    if events:
        return _end_with(events, last_word)
    if unfinished or not earlier:
        return False
    return _end_with([stream.opening + earlier[0]], last_word) or (not stream.opening and last_word in _LONG)


def _end_with(events: list[bytes], last_word: LastWord) -> bool:
    last, ends = events[-1], _ends_with.get(last_word, _always_ends)
    if _always_ends(last):
        return True
    return ends(last) is not None and not (last_word is LastWord.STOP and _lacks_a_prompt(events))


def _lacks_a_prompt(events: list[bytes]) -> bool:
    """Whether a prompt of a native stream that has begun among these has not had its own last event.

    Several prompts are told apart by "index", and may be answered at the same time, each with a `"stop":true` of its
    own. All but the first begin with `null`. One that has not begun cannot be missed: only the request says how many
    there are.
    """
    begun, silent, unnamed = set[bytes](), 0, 0
    for found in filter(None, map(_NATIVE_EVENT, events)):
        is_null, index = found.groups()
        if is_null:
            silent += 1
        elif index is None:
            unnamed += 1  # `response_fields` may leave "index" out of last events
        else:
            silent -= index not in begun and silent > 0
            (begun.add if _NATIVE_PARTIAL(found.string) else begun.discard)(index)
    return len(begun) + silent > unnamed
