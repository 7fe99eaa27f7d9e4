"""From a chat body, already in OpenAI's form, to its prompt, its answer plan and its tasks.

Mirrors tools/server/server-common.cpp (`oaicompat_chat_params_parse`).
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.engine.answer_plan import AnswerPlan
from mockserver.engine.model import json_schema
from mockserver.engine.model.grammar import Grammar
from mockserver.engine.model.grammar_parser import BadGrammar
from mockserver.engine.request import chat_messages, task_params
from mockserver.engine.request.task_params import TaskParams
from mockserver.engine.request.template_input import TemplateInput
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext

_NO_SAMPLERS = "Failed to initialize samplers: "


def prompt_of(server_context: ServerContext, body: dict[str, Any]) -> str:
    """The prompt of a chat body; raises ApiError for what is wrong with its messages, tools or flags."""
    prompt, _ = _render_prompt(server_context, body)
    return prompt


def _render_prompt(server_context: ServerContext, body: dict[str, Any]) -> tuple[str, str]:
    """The prompt, and its generation prompt: the end with which the template opens the answer."""
    template_input, prefill = _template_input(server_context, body)
    prompt = server_context.template.render(template_input)
    if not template_input.add_generation_prompt:
        return prompt, ""
    without = server_context.template.render(replace(template_input, add_generation_prompt=False, thinking=True))
    return prompt + prefill, prompt.removeprefix(without) if prompt.startswith(without) else ""


def _template_input(server_context: ServerContext, body: Any) -> tuple[TemplateInput, str]:
    """What the template is given, and the prefill: the text of an assistant's message that the answer continues."""
    if not isinstance(body, dict):
        raise ApiError(400, "'messages' is required")
    options = server_context.options
    tools, choice = body.get("tools"), body.get("tool_choice", "auto")
    if not options.jinja and isinstance(tools, list) and tools:
        raise ApiError(500, "tools param requires --jinja flag")
    if not options.jinja and choice not in ("auto", None):
        raise ApiError(500, "tool_choice param requires --jinja flag")
    _schema_of(body)
    turns = chat_messages.checked(body)
    continues = _continues_assistant(body, turns)
    template_input = TemplateInput(
        messages=turns[:-1] if continues else turns,
        tools=chat_messages.check_tools(tools),
        add_generation_prompt=continues or task_params.flag(body, "add_generation_prompt", True),
        thinking=_enables_thinking(server_context, body),
        variables={k: v for k, v in _template_variables(body).items() if k != "enable_thinking"},
    )
    prefill = body["messages"][-1].get("content") if continues else ""
    return template_input, chat_messages.text_of(prefill, "\n\n") if isinstance(prefill, list) else prefill or ""


def _continues_assistant(body: dict[str, Any], turns: Sequence[dict[str, Any]]) -> bool:
    """Whether the answer goes on with a message that the assistant began."""
    explicit = bool(body.get("continue_final_message"))
    last = turns[-1] if turns else {}
    if explicit and task_params.flag(body, "add_generation_prompt", True):
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


def _enables_thinking(server_context: ServerContext, body: dict[str, Any]) -> bool:
    """Whether the template may let the model think."""
    enabled = _template_variables(body).get("enable_thinking")
    if isinstance(enabled, str):
        raise ApiError(400, 'invalid type for "enable_thinking" (expected boolean, got string)')
    if isinstance(enabled, bool):
        return enabled
    return server_context.options.reasoning != "off" and body.get("reasoning_effort") != "none"


def _reasons(server_context: ServerContext, body: dict[str, Any]) -> bool:
    """Whether the answer begins with reasoning: where the server thinks, or its template can and the request asks."""
    effort, options = body.get("reasoning_effort"), server_context.options
    asked = "thinking_budget_tokens" in body or (effort is not None and effort != "none")
    on = options.reasoning == "on" or (server_context.template.thinks and asked)
    return on and _enables_thinking(server_context, body) and options.reasoning_format != "none"


def _schema_of(body: dict[str, Any]) -> Any:
    """The JSON schema an answer must follow, or None; raises the 400 of an unknown format."""
    schema = body.get("json_schema")
    if schema is not None and body.get("grammar"):
        raise ApiError(500, "Cannot use both json_schema and grammar")
    response_format = body.get("response_format")
    kind = response_format.get("type", "") if isinstance(response_format, dict) else ""
    if isinstance(response_format, dict) and kind == "json_object":
        schema = response_format.get("schema", schema or {})
    elif isinstance(response_format, dict) and kind == "json_schema":
        wrapper = response_format.get("json_schema")
        schema = wrapper.get("schema", {}) if isinstance(wrapper, dict) else {}
    elif kind not in ("", "text"):
        message = f'response_format type must be one of "text" or "json_object", but got: {kind}'
        raise ApiError(400, message)
    return {"type": "object"} if schema == {} else schema


def plan_of(server_context: ServerContext, body: dict[str, Any]) -> AnswerPlan:
    """The plan of an answer, with the schema or grammar of the body. Raises the 400 of one that cannot be followed."""
    plan = AnswerPlan(json_schema=_schema_of(body), endless=server_context.options.endless)
    text = body.get("grammar")
    try:
        if plan.json_schema is not None:
            json_schema.write(plan.json_schema, random.Random(0))  # noqa: S311  only to see that it can be done
        if text:
            plan.grammar = Grammar(str(text))
    except json_schema.BadSchema as error:
        raise ApiError(400, f'"json_schema": JSON schema conversion failed:\n{error}') from error
    except BadGrammar as error:
        raise ApiError(400, f"{_NO_SAMPLERS}failed to parse grammar: {error}") from error
    if (plan.json_schema is not None or text) and not server_context.options.grammars:
        raise ApiError(400, f"{_NO_SAMPLERS}std::exception")
    return plan


def _forced_calls(body: dict[str, Any]) -> list[dict[str, Any]]:
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


def tasks_of(server_context: ServerContext, body: dict[str, Any]) -> tuple[list[Task], TaskParams]:
    """The tasks of a chat body, one per choice, and their parameters."""
    text, generation_prompt = _render_prompt(server_context, body)
    _check_probabilities(body)
    plan = plan_of(server_context, body)
    plan.tool_calls, plan.reasoning = _forced_calls(body), _reasons(server_context, body)
    params = task_params.read(body, server_context.options)
    params.shown.update(chat_format="peg-native", generation_prompt=generation_prompt)
    tokens = server_context.vocabulary.encode(text, add_special=True)
    tasks = []
    for index in range(params.choices):
        own = replace(plan, call_ids=[server_context.ids.new() for _ in plan.tool_calls])
        tasks.append(Task(tokens, params, index, index, own))
    return tasks, params


def _check_probabilities(body: dict[str, Any]) -> None:
    if body.get("logprobs") is True:
        if body.get("tools") and body.get("stream"):
            raise ApiError(400, "logprobs is not supported with tools + stream")
    elif body.get("top_logprobs") is not None:
        raise ApiError(400, "top_logprobs requires logprobs to be set to true")
