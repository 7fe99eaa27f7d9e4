"""Judges whether an answer is what the contract promises, and if not, what is wrong with it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.core import errors
from gateway.core.errors import Refusal
from gateway.core.http.headers import ALWAYS, ANTHROPIC_REQUEST_ID, REQUEST_ID

_VARYING = {REQUEST_ID.encode(), ANTHROPIC_REQUEST_ID.encode(), b"date"}


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes


Judge = Callable[[Sequence[JudgedAnswer]], str]
"""Says in a few words what is wrong with the answers of one row; nothing if they are as promised."""


def status(wanted: int) -> Judge:
    """Every answer has this status."""

    def judge(answers: Sequence[JudgedAnswer]) -> str:
        return next((f"{one.status} {_words(one)}" for one in answers if one.status != wanted), "").strip()

    return judge


def refused(row: errors.ErrorRow, detail: str = "", **headers: str) -> Judge:
    """Every answer is this refusal: status, body with its order of keys, headers."""
    refusal = Refusal(row, detail, **headers)
    return _refused(refusal, (refusal.body,))


def refused_to_anthropic(row: errors.ErrorRow) -> Judge:
    """As `refused`, or the same in Anthropic's envelope: on `/v1/messages` a gateway may be set to either."""
    refusal = Refusal(row)
    return _refused(refusal, (refusal.body, refusal.anthropic_body))


def _refused(refusal: Refusal, bodies: Sequence[bytes]) -> Judge:
    def judge(answers: Sequence[JudgedAnswer]) -> str:
        return next(filter(None, (_differs(answer, refusal, bodies) for answer in answers)), "")

    return judge


def _differs(answer: JudgedAnswer, refusal: Refusal, bodies: Sequence[bytes]) -> str:
    if answer.status != refusal.row.status:
        return f"{answer.status} {_words(answer)}".strip()
    if _pairs(answer.body) not in map(_pairs, bodies):
        return f"the body is {_words(answer) or 'empty'}"
    if answer.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        return f"Content-Type is {answer.headers.get('Content-Type', 'missing')}"
    for name, value in refusal.headers.items():
        if answer.headers.get(name) != value:
            return f"{name} is {answer.headers.get(name, 'missing')}, not {value}"
    return ""


def _pairs(body: bytes) -> object:
    """JSON with the order of its keys; None if it is not JSON."""
    try:
        return json.loads(body.decode(), object_pairs_hook=tuple)
    except ValueError:
        return None


def alike(answers: Sequence[JudgedAnswer]) -> str:
    """All answers are the same but for request id and date."""
    first, *others = answers
    for other in others:
        if (first.status, first.body) != (other.status, other.body):
            return f"{first.status} {_words(first)}, and {other.status} {_words(other)}"
        if _fixed(first) != _fixed(other):
            return "the headers differ"
    return ""


def _fixed(answer: JudgedAnswer) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in answer.raw_headers if name.lower() not in _VARYING]


def streamed(last: bytes) -> Judge:
    """A whole event stream whose last event holds `last`."""

    def judge(answers: Sequence[JudgedAnswer]) -> str:
        (answer,) = answers
        kind = answer.headers.get("Content-Type", "missing")
        if answer.status != 200:
            return f"{answer.status} {_words(answer)}"
        if not kind.startswith("text/event-stream"):
            return f"Content-Type is {kind}"
        end = answer.body.replace(b"\r\n", b"\n").rstrip(b"\n").rpartition(b"\n\n")[2]
        return "" if last in end else f"it ends in {end[:100].decode('utf-8', 'replace')!r}"

    return judge


def has_id(request_id: str | None) -> Judge:
    """The answers carry this id; None: one that is not what was sent, and not empty."""

    def judge(answers: Sequence[JudgedAnswer]) -> str:
        found = [answer.headers.get(REQUEST_ID, "") for answer in answers]
        if request_id is None:
            return "" if all(found) and " " not in found[0] else f"it is {found[0] or 'missing'}"
        return next((f"it is {one or 'missing'}" for one in found if one != request_id), "")

    return judge


def named_alike(answers: Sequence[JudgedAnswer]) -> str:
    """Anthropic's SDKs read the id from a header of their own; it says the same."""
    for answer in answers:
        found = answer.headers.get(ANTHROPIC_REQUEST_ID, "missing")
        if found != answer.headers.get(REQUEST_ID):
            return f"it is {found} on a {answer.status}"
    return ""


def guarded(answers: Sequence[JudgedAnswer]) -> str:
    """Nothing may be stored, nor taken for another type than it says."""
    for name in ("X-Content-Type-Options", "Cache-Control"):
        for answer in answers:
            if answer.headers.get(name) != ALWAYS[name]:
                return f"{name} is {answer.headers.get(name, 'missing')} on a {answer.status}"
    return ""


def _words(answer: JudgedAnswer) -> str:
    """The beginning of a body in one line."""
    return " ".join(answer.body[:160].decode("utf-8", "replace").split())
