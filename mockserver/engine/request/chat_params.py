"""From a chat body to the body of a completion: what the template makes of it, and what it says of the answer.

Mirrors tools/server/server-common.cpp (`oaicompat_chat_params_parse`) and common/chat.cpp
(`common_chat_templates_apply_jinja`, `common_chat_templates_apply_legacy`).
"""

from dataclasses import dataclass, replace
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import anything, as_bool, as_int, as_text, items, value_or
from mockserver.core.options import Options
from mockserver.engine.grammar.json_schema import BadSchema, Schema, read_schema
from mockserver.engine.grammar.response_format import response_grammar
from mockserver.engine.request.chat_messages import ChatMessage, checked_messages
from mockserver.engine.request.chat_templates import ChatTemplate
from mockserver.engine.request.chat_tools import checked_choice, checked_tools
from mockserver.engine.request.schema.field_handlers import CHAT_FORMATS, known_reasoning_format
from mockserver.engine.request.template_input import TemplateInput

_NO_PARSER = "Unable to generate parser for this template. Automatic parser generation failed: "
_NO_GRAMMAR = "JSON schema conversion failed:\n"
_PEG_NATIVE = CHAT_FORMATS.index("peg-native")
_MOST_PROBABLE = 20


@dataclass(slots=True)
class ChatParams:
    """A chat as a completion: `body` is its body, the prompt among it; the rest steers the mock's model.

    `prefill` is what the client has written of the answer; a stream repeats it if `sends_prefill`.
    """

    body: dict[str, Any]
    tools: list[dict[str, Any]]
    schema: Schema | None
    prefill: str
    sends_prefill: bool
    thinks: bool


def chat_params(body: Any, template: ChatTemplate, options: Options) -> ChatParams:
    """Read a chat body; raises ApiError for the first thing that is wrong, in the order of the real server."""
    tools = value_or(body, "tools", anything, None)
    choice = value_or(body, "tool_choice", as_text, "auto")
    if not options.jinja:
        _refuse_tools(tools, choice)
    json_schema = _json_schema(body)
    messages = checked_messages(body)
    tools = checked_tools(tools)
    choice = checked_choice(choice)
    continues, adds_prompt = _continuation(body, messages)
    if "reasoning_format" in body:
        known_reasoning_format(as_text(body["reasoning_format"]))
    if tools and choice != "none" and "grammar" in body:
        raise ApiError(400, "Cannot use custom grammar constraints with tools.")
    template_input = TemplateInput(
        messages=[_for_template(message, template, options) for message in messages],
        tools=tools,
        add_generation_prompt=adds_prompt,
        thinking=_enables_thinking(body, template, options),
        variables={key: value for key, value in _variables(body).items() if key != "enable_thinking"},
    )
    last = messages[-1] if continues and messages else None
    prompt, opening, prefill = _render(template, template_input, last)
    schema = _checked_schema(json_schema, options)
    constraint = {} if schema is None else {"grammar": _grammar(schema, opening), "grammar_type": "tool_calls"}
    completion: dict[str, Any] = {
        "stop": _stop(body),
        "chat_format": _PEG_NATIVE if options.jinja else 0,
        "prompt": prompt,
        "grammar_lazy": False,
        "grammar_triggers": [],
        "preserved_tokens": [],
        "generation_prompt": opening + prefill,
        **_probabilities(body, has_tools=bool(tools)),
        **({"parse_tool_calls": True} if tools and choice != "none" else {}),
        **constraint,
    }
    sends_prefill = not _asks_to_continue(body) or body.get("echo") is True
    return ChatParams(_with_rest(completion, body), tools, schema, prefill, sends_prefill, template_input.thinking)


def _refuse_tools(tools: Any, choice: str) -> None:
    if isinstance(tools, list) and tools:
        raise ApiError(500, "tools param requires --jinja flag")
    if choice != "auto":
        raise ApiError(500, "tool_choice param requires --jinja flag")


def _stop(body: dict[str, Any]) -> Any:
    """The stop words, a single one as a list; of another type they are left to the schema."""
    stop = body.get("stop")
    return [stop] if isinstance(stop, str) else [] if stop is None else stop


def _json_schema(body: Any) -> Any:
    """The JSON schema an answer must follow, None for none; an empty one means any object."""
    schema = value_or(body, "json_schema", anything, None)
    if schema is not None and value_or(body, "grammar", as_text, ""):
        raise ApiError(500, "Cannot use both json_schema and grammar")
    form: Any = value_or(body, "response_format", anything, None)
    kind = value_or(form, "type", as_text, "")
    if kind == "json_object":
        if "schema" in form or schema in (None, [], {}):
            schema = value_or(form, "schema", anything, {})
    elif kind == "json_schema":
        schema = value_or(value_or(form, "json_schema", anything, None), "schema", anything, dict[str, Any]())
    elif kind not in ("", "text"):
        raise ApiError(400, f'response_format type must be one of "text" or "json_object", but got: {kind}')
    return {"type": "object"} if schema == {} else schema


def _continuation(body: dict[str, Any], messages: list[ChatMessage]) -> tuple[bool, bool]:
    """Whether the answer goes on with the last message, and whether the template opens one of its own."""
    continues, adds_prompt = _asks_to_continue(body), value_or(body, "add_generation_prompt", as_bool, True)
    if not continues and messages and messages[-1].role == "assistant":
        if len(messages) > 1 and messages[-2].role == "assistant":
            raise ApiError(400, "Cannot have 2 or more assistant messages at the end of the list.")
        continues, adds_prompt = True, False
    if continues and adds_prompt:
        raise ApiError(400, "Cannot set both add_generation_prompt and continue_final_message to true.")
    if continues and messages and messages[-1].role == "assistant" and messages[-1].tool_calls:
        raise ApiError(400, "Cannot continue an assistant message that contains tool calls.")
    return continues, adds_prompt


def _asks_to_continue(body: dict[str, Any]) -> bool:
    asked = body.get("continue_final_message")
    return asked is True or asked in ("reasoning_content", "content")


def _variables(body: dict[str, Any]) -> dict[str, Any]:
    return dict(items(value_or(body, "chat_template_kwargs", anything, {})))


def _enables_thinking(body: dict[str, Any], template: ChatTemplate, options: Options) -> bool:
    """Whether the template may let the model think."""
    enabled = _variables(body).get("enable_thinking")
    if isinstance(enabled, str):
        raise ApiError(400, 'invalid type for "enable_thinking" (expected boolean, got string)')
    if value_or(body, "reasoning_effort", as_text, "") == "none":
        return False
    if isinstance(enabled, bool):
        return enabled
    return options.reasoning == "on" or (options.reasoning != "off" and template.thinks)


def _render(template: ChatTemplate, given: TemplateInput, last: ChatMessage | None) -> tuple[str, str, str]:
    """The prompt, and its end with which the answer begins: the template's opening, then the message continued."""
    if last is not None:
        given = replace(given, messages=given.messages[:-1], add_generation_prompt=False)
    prompt = template.render(given)
    without = template.render(replace(given, add_generation_prompt=False))
    opened = prompt if given.add_generation_prompt else template.render(replace(given, add_generation_prompt=True))
    opening = opened[_common_length(without, opened) :]
    if last is None or last.is_empty:
        return prompt, opening, ""
    prefill = last.text("\n\n")
    return prompt + opening + prefill, opening, prefill


def _common_length(one: str, other: str) -> int:
    if other.startswith(one):
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _for_template(message: ChatMessage, template: ChatTemplate, options: Options) -> dict[str, Any]:
    """The message as the template is given it; only GPT-OSS, which has channels, knows the developer's role."""
    given = message.for_template()
    if options.jinja and given["role"] == "developer" and "<|channel|>" not in template.source:
        given["role"] = "system"
    return given


def _checked_schema(json_schema: Any, options: Options) -> Schema | None:
    """The schema of the answer; one that is no object constrains nothing, and is refused with `--no-jinja`."""
    if json_schema is None or (options.jinja and not isinstance(json_schema, dict)):
        return None
    try:
        return read_schema(json_schema)
    except BadSchema as error:
        raise ApiError(400, f"{_NO_PARSER if options.jinja else _NO_GRAMMAR}{error}") from error


def _grammar(schema: Schema, opening: str) -> str:
    try:
        return response_grammar(schema, opening)
    except BadSchema as error:
        raise ApiError(400, f"{_NO_PARSER}{error}") from error


def _probabilities(body: dict[str, Any], *, has_tools: bool) -> dict[str, int]:
    """How many rivals a token is shown with, from OpenAI's two fields."""
    if value_or(body, "logprobs", as_bool, False):
        if has_tools and value_or(body, "stream", as_bool, False):
            raise ApiError(400, "logprobs is not supported with tools + stream")
        return {"n_probs": value_or(body, "top_logprobs", as_int, _MOST_PROBABLE)}
    if body.get("top_logprobs") is not None:
        raise ApiError(400, "top_logprobs requires logprobs to be set to true")
    return {}


def _with_rest(completion: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """The completion with all else that the body has; only `n_predict` goes before what is known already."""
    return completion | {key: value for key, value in body.items() if key not in completion or key == "n_predict"}
