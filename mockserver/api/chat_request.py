"""A chat request becomes tasks, whichever protocol it came in: checks, template, tools, constraints."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.engine.answer_plan import AnswerPlan
from mockserver.engine.model import json_schema, tokenizer
from mockserver.engine.model.grammar import Grammar
from mockserver.engine.model.grammar_parser import BadGrammar
from mockserver.engine.request import chat_messages, params
from mockserver.engine.request.params import TaskParams
from mockserver.engine.request.template_input import TemplateInput
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext

_NO_SAMPLERS = "Failed to initialize samplers: "


def prompt_of(machine: ServerContext, body: dict[str, Any]) -> str:
    """The prompt of a chat body; raises ApiError for what is wrong with its messages, tools or flags."""
    prompt, _ = _prompt_and_opening(machine, body)
    return prompt


def _prompt_and_opening(machine: ServerContext, body: dict[str, Any]) -> tuple[str, str]:
    """The prompt, and the end of it with which the template opens the answer."""
    conversation, begun = _conversation(machine, body)
    prompt = machine.template.render(conversation)
    if not conversation.add_generation_prompt:
        return prompt, ""
    without = machine.template.render(replace(conversation, add_generation_prompt=False, thinking=True))
    return prompt + begun, prompt.removeprefix(without) if prompt.startswith(without) else ""


def _conversation(machine: ServerContext, body: Any) -> tuple[TemplateInput, str]:
    """What the template is given, and the text of an answer that was begun already."""
    if not isinstance(body, dict):
        raise ApiError(400, "'messages' is required")
    settings = machine.settings
    tools, choice = body.get("tools"), body.get("tool_choice", "auto")
    if not settings.jinja and isinstance(tools, list) and tools:
        raise ApiError(500, "tools param requires --jinja flag")
    if not settings.jinja and choice not in ("auto", None):
        raise ApiError(500, "tool_choice param requires --jinja flag")
    _schema_of(body)
    turns = chat_messages.checked(body)
    continues = _continues(body, turns)
    conversation = TemplateInput(
        messages=turns[:-1] if continues else turns,
        tools=chat_messages.check_tools(tools),
        add_generation_prompt=continues or params.flag(body, "add_generation_prompt", True),
        thinking=_thinking(machine, body),
        variables={k: v for k, v in _template_variables(body).items() if k != "enable_thinking"},
    )
    begun = body["messages"][-1].get("content") if continues else ""
    return conversation, chat_messages.text_of(begun, "\n\n") if isinstance(begun, list) else begun or ""


def _continues(body: dict[str, Any], turns: Sequence[dict[str, Any]]) -> bool:
    """Whether the answer goes on with a message that the assistant began."""
    explicit = bool(body.get("continue_final_message"))
    last = turns[-1] if turns else {}
    if explicit and params.flag(body, "add_generation_prompt", True):
        raise ApiError(400, "Cannot set both add_generation_prompt and continue_final_message to true.")
    if last.get("role") != "assistant":
        return False
    if not explicit and len(turns) > 1 and turns[-2]["role"] == "assistant":
        raise ApiError(400, "Cannot have 2 or more assistant messages at the end of the list.")
    if last.get("tool_calls"):
        raise ApiError(400, "Cannot continue an assistant message that contains tool calls.")
    return True


def _template_variables(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("chat_template_kwargs")
    return given if isinstance(given, dict) else {}


def _thinking(machine: ServerContext, body: dict[str, Any]) -> bool:
    """Whether the template may let the model think."""
    wanted = _template_variables(body).get("enable_thinking")
    if isinstance(wanted, str):
        raise ApiError(400, 'invalid type for "enable_thinking" (expected boolean, got string)')
    if isinstance(wanted, bool):
        return wanted
    return machine.settings.reasoning != "off" and body.get("reasoning_effort") != "none"


def _thinks(machine: ServerContext, body: dict[str, Any]) -> bool:
    """Whether the answer begins with reasoning: where the server or the request asks for it."""
    asked = body.get("thinking")
    enabled = isinstance(asked, dict) and asked.get("type") == "enabled"
    effort = body.get("reasoning_effort")
    on = machine.settings.reasoning == "on" or enabled or (effort is not None and effort != "none")
    return on and _thinking(machine, body) and machine.settings.reasoning_format != "none"


def _schema_of(body: dict[str, Any]) -> Any:
    """The JSON schema an answer must follow, or None; raises the 400 of an unknown format."""
    schema = body.get("json_schema")
    if schema is not None and body.get("grammar"):
        raise ApiError(500, "Cannot use both json_schema and grammar")
    wanted = body.get("response_format")
    kind = wanted.get("type", "") if isinstance(wanted, dict) else ""
    if isinstance(wanted, dict) and kind == "json_object":
        schema = wanted.get("schema", schema or {})
    elif isinstance(wanted, dict) and kind == "json_schema":
        wrapper = wanted.get("json_schema")
        schema = wrapper.get("schema", {}) if isinstance(wrapper, dict) else {}
    elif kind not in ("", "text"):
        message = f'response_format type must be one of "text" or "json_object", but got: {kind}'
        raise ApiError(400, message)
    return {"type": "object"} if schema == {} else schema


def constraints(machine: ServerContext, body: dict[str, Any]) -> AnswerPlan:
    """The schema or grammar that a body holds its answer to; raises the 400 of one that cannot be followed."""
    wanted = AnswerPlan(json_schema=_schema_of(body), endless=machine.settings.endless)
    text = body.get("grammar")
    try:
        if wanted.json_schema is not None:
            json_schema.write(wanted.json_schema, random.Random(0))  # noqa: S311  only to see that it can be done
        if text:
            wanted.grammar = Grammar(str(text))
    except json_schema.BadSchema as error:
        raise ApiError(400, f'"json_schema": JSON schema conversion failed:\n{error}') from error
    except BadGrammar as error:
        raise ApiError(400, f"{_NO_SAMPLERS}failed to parse grammar: {error}") from error
    if (wanted.json_schema is not None or text) and not machine.settings.grammars:
        raise ApiError(400, f"{_NO_SAMPLERS}std::exception")
    return wanted


def _calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The functions an answer must call: those a tool choice of `required` or by name leaves no way around."""
    functions = [tool["function"] for tool in chat_messages.check_tools(body.get("tools"))]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        named = choice.get("function")
        name = named.get("name") if isinstance(named, dict) else None
        return [function for function in functions if function.get("name") == name][:1]
    if choice not in ("auto", "none", "required", None):
        raise ApiError(400, f"Invalid tool_choice: {choice}")
    return functions[:1] if choice == "required" else []


def read(machine: ServerContext, body: dict[str, Any]) -> tuple[list[Task], TaskParams]:
    """The tasks of a chat body, one per choice, and their parameters."""
    text, opening = _prompt_and_opening(machine, body)
    _check_probabilities(body)
    wanted = constraints(machine, body)
    wanted.calls, wanted.thinks = _calls(body), _thinks(machine, body)
    options = params.read(body, machine.settings)
    options.shown.update(chat_format="peg-native", generation_prompt=opening)
    tokens = tokenizer.encode(text, add_bos=True)
    tasks = []
    for index in range(options.choices):
        own = replace(wanted, call_ids=[machine.ids.new() for _ in wanted.calls])
        tasks.append(Task(tokens, options, index, index, own))
    return tasks, options


def _check_probabilities(body: dict[str, Any]) -> None:
    if body.get("logprobs") is True:
        if body.get("tools") and body.get("stream"):
            raise ApiError(400, "logprobs is not supported with tools + stream")
    elif body.get("top_logprobs") is not None:
        raise ApiError(400, "top_logprobs requires logprobs to be set to true")
