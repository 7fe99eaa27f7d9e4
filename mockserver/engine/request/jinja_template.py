"""Chat templates in Jinja, with what model makers expect to find in them.

Mirrors common/jinja/.
"""

import datetime
import json
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

from mockserver.core.api_errors import ApiError
from mockserver.engine.request.template_input import TemplateInput

_THINKING_TAGS = ("<think>", "<|START_THINKING|>")


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _environment() -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, jinja2.ext.do]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().astimezone().strftime(form)
    return environment


class JinjaTemplate:
    """A template from its source; raises ValueError when it is not one."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"the chat template is not valid Jinja: {error.message}, line {error.lineno}") from error
        self.calls_tools = "tool_calls" in source
        self.thinks = any(tag in source for tag in _THINKING_TAGS)

    def render(self, conversation: TemplateInput) -> str:
        """The prompt. Thinking that was switched off but begun by the template is closed at once."""
        today = datetime.datetime.now().astimezone()
        variables: dict[str, Any] = {
            "messages": _with_parsed_arguments(conversation.messages),
            "tools": list(conversation.tools) or None,
            "add_generation_prompt": conversation.add_generation_prompt,
            "enable_thinking": conversation.thinking,
            "bos_token": "",
            "eos_token": "</s>",
            "datetime": today.strftime("%b %d %Y"),
            "date_string": today.strftime("%d %b %Y"),
            "functions": json.dumps(list(conversation.tools)) if conversation.tools else "",
        }
        try:
            prompt = self._template.render(variables | conversation.variables)
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise ApiError(500, f"Failed to apply chat template: {error}") from error
        return prompt if conversation.thinking else _closed(prompt)


def _closed(prompt: str) -> str:
    if prompt.rstrip().endswith("<think>"):
        return prompt + "</think>"
    if prompt.endswith("<|CHATBOT_TOKEN|>"):
        return prompt + "<|START_THINKING|><|END_THINKING|>"
    return prompt


def _with_parsed_arguments(messages: Any) -> list[dict[str, Any]]:
    """Messages whose tool arguments are objects, as most templates want them."""
    return [
        {**message, "tool_calls": [_parsed(call) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def _parsed(call: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(call["function"]["arguments"])
    except json.JSONDecodeError:
        return call
    return {**call, "function": {**call["function"], "arguments": arguments}}
