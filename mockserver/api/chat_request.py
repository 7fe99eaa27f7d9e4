"""From the body of a completion, a chat or a plain one, to its tasks.

Mirrors tools/server/server-context.cpp (`handle_completions_impl`, `launch_slot_with_task`).
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_text, at, contains, value_or
from mockserver.engine.answer_plan import AnswerPlan
from mockserver.engine.grammar.gbnf_matcher import allows_beginning
from mockserver.engine.grammar.gbnf_parser import BadGrammar
from mockserver.engine.grammar.gbnf_writer import Grammar
from mockserver.engine.grammar.json_schema import read_schema
from mockserver.engine.request import prompts
from mockserver.engine.request.chat_params import ChatParams, chat_params
from mockserver.engine.request.schema import samplers, task_params
from mockserver.engine.request.schema.task_params import TaskParams
from mockserver.engine.results import Task
from mockserver.engine.server_context import ServerContext

_NO_SAMPLERS = "Failed to initialize samplers: "


def prompt_of(server_context: ServerContext, body: Any) -> str:
    """The prompt of a chat body; raises ApiError for what is wrong with its messages, tools or flags."""
    prompt: str = chat_params(body, server_context.template, server_context.options).body["prompt"]
    return prompt


def tasks_of(server_context: ServerContext, body: Any) -> tuple[list[Task], TaskParams]:
    """The tasks of a chat body, one per choice, and their parameters; raises ApiError."""
    chat = chat_params(body, server_context.template, server_context.options)
    plan = AnswerPlan(json_schema=chat.schema, endless=server_context.options.endless)
    plan.prefill, plan.sends_prefill = chat.prefill, chat.sends_prefill
    plan.tool_calls, plan.reasoning = _forced_calls(server_context, body, chat), _reasons(server_context, body, chat)
    params = _params(server_context, chat.body)
    _constrain(server_context, plan, params)
    tokens = server_context.vocabulary.encode(chat.body["prompt"], add_special=True)
    tasks = []
    for index in range(params.choices):
        own = replace(plan, call_ids=[server_context.ids.new() for _ in plan.tool_calls])
        tasks.append(Task(tokens, params, index, index, own))
    return tasks, params


def completion_tasks(server_context: ServerContext, body: Any) -> tuple[list[Task], TaskParams]:
    """The tasks of a completion body, native or OpenAI's, one per prompt and choice; raises ApiError."""
    try:
        inputs = prompts.many(server_context.vocabulary, at(body, "prompt"))
    except ApiError as error:
        raise ApiError(400, error.message) from error
    params = _params(server_context, body)
    plan = AnswerPlan(endless=server_context.options.endless, continues=True)
    _constrain(server_context, plan, params)
    answers = product(inputs, range(params.choices))
    return [Task(tokens, params, i, choice, plan) for i, (tokens, choice) in enumerate(answers)], params


def _params(server_context: ServerContext, body: dict[str, Any]) -> TaskParams:
    params = task_params.read(body, server_context.options)
    params.completion_id = server_context.ids.new("chatcmpl-")
    return params


def _forced_calls(server_context: ServerContext, body: dict[str, Any], chat: ChatParams) -> list[dict[str, Any]]:
    """The functions that an answer calls: what is required, and what the client names, as a good model would."""
    functions = [tool["function"] for tool in chat.tools] if server_context.template.calls_tools else []
    choice: Any = body.get("tool_choice")
    if contains(choice, "function"):
        name = value_or(choice["function"], "name", as_text, "")
        return [function for function in functions if function["name"] == name][:1]
    return functions[:1] if choice == "required" else []


def _reasons(server_context: ServerContext, body: dict[str, Any], chat: ChatParams) -> bool:
    """Whether the answer begins with reasoning: where the server thinks, or its template can and the request asks."""
    effort, options = body.get("reasoning_effort"), server_context.options
    asked = "thinking_budget_tokens" in body or (effort is not None and effort != "none")
    on = options.reasoning == "on" or (server_context.template.thinks and asked)
    return on and chat.thinks and options.reasoning_format != "none"


def _constrain(server_context: ServerContext, plan: AnswerPlan, params: TaskParams) -> None:
    """Put what the answer must follow into its plan, and why no slot can be launched with that, if so."""
    try:
        samplers.check(params.shown)
        if plan.json_schema is None and params.json_schema is not None:
            plan.json_schema = read_schema(params.json_schema)
        grammar = params.shown["grammar"].partition("\0")[0]
        if plan.prefill and plan.json_schema is not None:
            _check_prefill(server_context, params.shown)
        if grammar and plan.json_schema is None:
            plan.grammar = Grammar(grammar, server_context.vocabulary)
        if grammar and not server_context.options.grammars:
            raise ValueError("std::exception")
    except BadGrammar:
        plan.refusal = f"{_NO_SAMPLERS}failed to parse grammar"
    except ValueError as error:
        plan.refusal = f"{_NO_SAMPLERS}{error}"


def _check_prefill(server_context: ServerContext, shown: Mapping[str, Any]) -> None:
    """Raises ValueError when the answer has been begun otherwise than its grammar allows (`common_sampler_init`)."""
    if not allows_beginning(shown["grammar"], shown["generation_prompt"], server_context.vocabulary):
        raise ValueError("std::exception")
