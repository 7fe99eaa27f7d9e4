"""The plan of an answer, and its tokens: a segment for the text, one for the reasoning, one for each tool call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.core.nlohmann_json import dump
from mockserver.engine.canned_answers import CannedReply
from mockserver.engine.grammar.gbnf_writer import Grammar
from mockserver.engine.grammar.json_schema import Schema
from mockserver.engine.grammar.json_writer import write_arguments, write_json
from mockserver.engine.model import tokenizer
from mockserver.engine.model.text_composer import compose, dice, sentences
from mockserver.engine.request.schema.task_params import TaskParams

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
    """What an answer must contain or follow, as its request says. An answer that `continues` goes on with the prompt's
    text, an `endless` one never ends by itself; `reply` is a canned answer, given word for word.
    `prefill` is what the client has written of it, which a stream begins with if `sends_prefill`. `refusal` says why
    no slot can be launched with it.
    """

    reasoning: bool = False
    tool_calls: Sequence[dict[str, Any]] = ()
    json_schema: Schema | None = None
    grammar: Grammar | None = None
    continues: bool = False
    endless: bool = False
    call_ids: list[str] = field(default_factory=list)
    reply: CannedReply | None = None
    prefill: str = ""
    sends_prefill: bool = True
    refusal: str = ""


def segments(prompt: Sequence[int], params: TaskParams, plan: AnswerPlan, choice: int = 0) -> Iterator[Segment]:
    """The segments of an answer, the last of them ending with the end-of-sequence token (if it ends at all)."""
    rng = dice(params.seed + choice * params.sampled, prompt)
    endless = bool(params.shown["ignore_eos"]) or plan.endless
    if plan.reply is not None:
        yield from _canned_segments(plan.reply, plan.call_ids)
        return
    if plan.reasoning:
        yield Segment("reasoning", _encode(next(sentences(rng)) + "\n"))
    if plan.tool_calls:
        for number, (tool, call_id) in enumerate(zip(plan.tool_calls, plan.call_ids, strict=True)):
            arguments = write_arguments(tool.get("parameters") or {"type": "object"}, rng)
            yield Segment("tool", _encode(arguments), str(tool.get("name", "")), call_id, number)
        yield Segment("content", [tokenizer.EOS])
    elif plan.grammar is not None:
        yield Segment("content", [*_encode(plan.grammar.write(rng)), tokenizer.EOS])
    elif plan.json_schema is not None:
        yield Segment("content", [*_encode(write_json(plan.json_schema, rng)), tokenizer.EOS])
    else:
        tokens = compose(rng, endless=endless or (plan.continues and params.n_predict > 0))
        yield Segment("content", _allowed(tokens, params.banned))


def _canned_segments(reply: CannedReply, call_ids: Sequence[str]) -> Iterator[Segment]:
    """The segments of a canned answer."""
    if reply.reasoning:
        yield Segment("reasoning", _encode(reply.reasoning))
    if reply.text and reply.calls:
        yield Segment("content", _encode(reply.text))
    for number, (call, call_id) in enumerate(zip(reply.calls, call_ids, strict=True)):
        yield Segment("tool", _encode(dump(call.arguments)), call.name, call_id, number)
    yield Segment("content", [*_encode("" if reply.calls else reply.text), tokenizer.EOS])


def _encode(text: str) -> list[int]:
    return tokenizer.encode(text)


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
