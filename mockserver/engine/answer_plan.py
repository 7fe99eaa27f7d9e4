"""What an answer is made of: a run of tokens for the text, one for the thoughts, one for each tool call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.core.nlohmann_json import dump
from mockserver.engine.canned_answers import CannedReply
from mockserver.engine.model import json_schema, tokenizer
from mockserver.engine.model.grammar import Grammar
from mockserver.engine.model.text_composer import compose, dice, sentences
from mockserver.engine.request.params import TaskParams

_MOST_BANNED = 20_000
"""Tokens in a row that a logit bias may forbid before the answer ends instead of searching for ever."""


@dataclass(slots=True)
class Segment:
    """Tokens of one kind. `channel` is `content`, `reasoning` or `tool`; a tool call has a name and an id."""

    channel: str
    tokens: Iterable[int]
    name: str = ""
    call_id: str = ""
    number: int = 0


@dataclass(slots=True)
class AnswerPlan:
    """What a request asks of the answer besides its text."""

    thinks: bool = False
    calls: Sequence[dict[str, Any]] = ()
    json_schema: Any = None
    grammar: Grammar | None = None
    continues: bool = False
    endless: bool = False
    call_ids: list[str] = field(default_factory=list)
    reply: CannedReply | None = None


def write(prompt: Sequence[int], params: TaskParams, wanted: AnswerPlan, choice: int = 0) -> Iterator[Segment]:
    """The segments of an answer, the last of them ending with the end-of-sequence token (if it ends at all)."""
    rng = dice(params.seed + choice * params.sampled, prompt)
    endless = bool(params.shown["ignore_eos"]) or wanted.endless
    if wanted.reply is not None:
        yield from _said(wanted.reply, wanted.call_ids)
        return
    if wanted.thinks:
        yield Segment("reasoning", _encode(next(sentences(rng)) + "\n"))
    if wanted.calls:
        for number, (tool, call_id) in enumerate(zip(wanted.calls, wanted.call_ids, strict=True)):
            arguments = json_schema.write(tool.get("parameters") or {"type": "object"}, rng)
            yield Segment("tool", _encode(arguments), str(tool.get("name", "")), call_id, number)
        yield Segment("content", [tokenizer.EOS])
    elif wanted.grammar is not None:
        yield Segment("content", [*_encode(wanted.grammar.write(rng)), tokenizer.EOS])
    elif wanted.json_schema is not None:
        text = json_schema.write(wanted.json_schema, rng)
        yield Segment("content", [*_encode(text), tokenizer.EOS])
    else:
        tokens = compose(rng, endless=endless or (wanted.continues and params.n_predict > 0))
        yield Segment("content", _allowed(tokens, params.banned))


def _said(reply: CannedReply, call_ids: Sequence[str]) -> Iterator[Segment]:
    """The segments of a canned answer."""
    if reply.reasoning:
        yield Segment("reasoning", _encode(reply.reasoning))
    if reply.text and reply.calls:
        yield Segment("content", _encode(reply.text))
    for number, (call, call_id) in enumerate(zip(reply.calls, call_ids, strict=True)):
        yield Segment("tool", _encode(dump(call.arguments)), call.name, call_id, number)
    yield Segment("content", [*_encode("" if reply.calls else reply.text), tokenizer.EOS])


def _encode(text: str) -> list[int]:
    return tokenizer.encode(text, parse_special=False)


def _allowed(tokens: Iterator[int], banned: frozenset[int]) -> Iterator[int]:
    """The tokens that no logit bias forbids."""
    if not banned:
        yield from tokens
        return
    skipped = 0
    for token in tokens:
        skipped = skipped + 1 if token in banned else 0
        if skipped > _MOST_BANNED:
            return
        if not skipped:
            yield token
