"""The fields of a completion request that are more than a number or a switch.

Mirrors the handlers in tools/server/server-schema.cpp.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import (
    anything,
    as_bool,
    as_float,
    as_int,
    as_text,
    as_texts,
    at,
    contains,
    elements,
    items,
    value_or,
)
from mockserver.core.nlohmann_json import JsonError
from mockserver.engine.grammar.json_schema import BadSchema
from mockserver.engine.grammar.schema_to_grammar import schema_to_grammar
from mockserver.engine.model import tokenizer
from mockserver.engine.model.lora import scales_of
from mockserver.engine.model.tokenizer import Vocabulary
from mockserver.engine.request.schema.default_params import DEFAULTS
from mockserver.engine.request.schema.fields import Values
from mockserver.engine.request.schema.samplers import samplers_named, samplers_of_letters

CHAT_FORMATS = ("Content-only", "peg-simple", "peg-native", "peg-gemma4", "peg-minimax-m3")
REASONING_FORMATS = ("none", "auto", "deepseek", "deepseek-legacy")
_WORD_TRIGGER = 1
_TOKEN_TRIGGER = 0
_NUMBER = re.compile(r"\s*[+-]?\d+")


def known_reasoning_format(name: str) -> str:
    """The name itself; raises the 500 of an unknown one."""
    if name not in REASONING_FORMATS:
        raise ApiError(500, f"Unknown reasoning format: {name}")
    return name


def string(name: str) -> Callable[[Values, Any], None]:
    """The handler of a string that the mock has no use for."""

    def handler(values: Values, data: Any) -> None:
        values[name] = as_text(at(data, name))

    return handler


def response_fields(values: Values, data: Any) -> None:
    """The fields of an answer that are asked for; of another type it counts as absent."""
    values["response_fields"] = value_or(data, "response_fields", as_texts, list[str]())


def dry_base(values: Values, data: Any) -> None:
    """A base below one means the default."""
    base = as_float(data["dry_base"])
    values["dry_base"] = DEFAULTS["dry_base"] if base < 1 else base


def lora(values: Values, data: Any) -> None:
    """The scales of adapters."""
    if not isinstance(data["lora"], list):
        raise JsonError("Error: 'lora' must be an array of objects with 'id' and 'scale' fields")
    values["lora_scales"] = scales_of(data["lora"])


def dry_sequence_breakers(values: Values, data: Any) -> None:
    """At least one string."""
    breakers = value_or(data, "dry_sequence_breakers", as_texts, list[str]())
    if not breakers:
        raise JsonError("Error: dry_sequence_breakers must be a non-empty array of strings")
    values["dry_sequence_breakers"] = breakers


def constraint(values: Values, data: Any) -> None:
    """The grammar of the answer: from a schema if there is no `grammar`, not even null, beside it."""
    if not contains(data, "json_schema") or contains(data, "grammar"):
        values["grammar"] = value_or(data, "grammar", as_text, "")
        return
    schema: Any = value_or(data, "json_schema", anything, None)
    schema = {"type": "object"} if schema == {} else schema
    try:
        values["grammar"] = schema_to_grammar(schema)
    except BadSchema as error:
        raise JsonError(f'"json_schema": {error}') from error
    values["json_schema"] = schema


def chat_format(values: Values, data: Any) -> None:
    """The number of a format."""
    number = as_int(data["chat_format"])
    if 0 <= number < len(CHAT_FORMATS):
        values["chat_format"] = CHAT_FORMATS[number]


def reasoning_format(values: Values, data: Any) -> None:
    """How thoughts are told apart."""
    values["reasoning_format"] = known_reasoning_format(as_text(data["reasoning_format"]))


def generation_prompt(values: Values, data: Any) -> None:
    """What the template has written of the answer."""
    values["generation_prompt"] = as_text(data["generation_prompt"])


def preserved_tokens(values: Values, data: Any) -> None:
    """Texts that are one token each; others do not count."""
    tokens = set(values["preserved_tokens"])
    for text in elements(data["preserved_tokens"]):
        encoded = values["vocabulary"].encode(as_text(text))
        if len(encoded) == 1:
            tokens.add(encoded[0])
    values["preserved_tokens"] = sorted(tokens)


def grammar_triggers(values: Values, data: Any) -> None:
    """What switches a lazy grammar on."""
    given = elements(data["grammar_triggers"])
    triggers = [*values["grammar_triggers"], *(_trigger(one, values["vocabulary"]) for one in given)]
    if values["grammar_lazy"] and not triggers:
        raise JsonError("Error: no triggers set for lazy grammar!")
    values["grammar_triggers"] = triggers


def _trigger(given: Any, vocabulary: Vocabulary) -> dict[str, Any]:
    trigger = {"type": as_int(at(given, "type")), "value": as_text(at(given, "value"))}
    if trigger["type"] == _TOKEN_TRIGGER:
        trigger["token"] = as_int(at(given, "token"))
    elif trigger["type"] == _WORD_TRIGGER and len(vocabulary.encode(as_text(trigger["value"]))) == 1:
        raise JsonError(f"Grammar trigger word should be marked as preserved token: {trigger['value']}")
    return trigger


def reasoning_budget_end(_values: Values, data: Any) -> None:
    """Tags that end a thought: only their types are looked at."""
    if contains(data, "reasoning_budget_end_tags"):
        for tag in elements(data["reasoning_budget_end_tags"]):
            as_text(tag)
    else:
        as_text(data["reasoning_budget_end_tag"])


def logit_bias(values: Values, data: Any) -> None:
    """Biases of tokens, in either form; what has another form is left out. None stands for minus infinity."""
    given = data["logit_bias"]
    values["logit_bias"] = list(_biases(given)) if isinstance(given, list | dict) else []


def _biases(given: list[Any] | dict[str, Any]) -> Iterator[dict[str, Any]]:
    is_object = isinstance(given, dict)
    pairs = ([key, bias] for key, bias in items(given)) if is_object else elements(given)
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or pair[1] is True:
            continue
        what, value = pair
        if not isinstance(value, int | float):
            continue
        bias = None if value is False else as_float(value)
        yield from ({"bias": bias, "token": token} for token in _biased_tokens(what, is_object=is_object))


def _biased_tokens(what: Any, *, is_object: bool) -> list[int]:
    if is_object and (what == "" or _NUMBER.fullmatch(what)):
        what = int(what or 0)
    if isinstance(what, str):
        return tokenizer.encode(what)
    if isinstance(what, bool) or not isinstance(what, int):
        return []
    token = as_int(what)
    return [token] if 0 <= token < tokenizer.VOCABULARY_SIZE else []


def ignore_eos(values: Values, data: Any) -> None:
    """Ban the end of the answer."""
    values["ignore_eos"] = as_bool(data["ignore_eos"])
    if values["ignore_eos"]:
        values["logit_bias"] = [*values["logit_bias"], {"bias": None, "token": tokenizer.EOS}]


def stop(values: Values, data: Any) -> None:
    """One stop word or several; nulls among them do not count, and another type is none."""
    given = data["stop"]
    if isinstance(given, list):
        values["stop"] = [as_text(word) for word in given if word not in (None, [], {})]
    else:
        values["stop"] = [given] if isinstance(given, str) else []


def samplers(values: Values, data: Any) -> None:
    """The samplers in their order, by names or by letters."""
    given = data["samplers"]
    if isinstance(given, list):
        values["samplers"] = samplers_named(as_texts(given))
    elif isinstance(given, str):
        values["samplers"] = samplers_of_letters(given)
