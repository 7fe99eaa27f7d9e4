"""From messages to a prompt: the built-in chat templates by name, any other by Jinja.

Mirrors src/llama-chat.cpp.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from mockserver.engine.request.template_input import TemplateInput

CHATML_SOURCE = (
    "{%- for message in messages -%}\n"
    "  {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "  {{- '<|im_start|>assistant\n' -}}\n"
    "{%- endif -%}"
)


class ChatTemplate(Protocol):
    """A chat template."""

    @property
    def source(self) -> str:
        """Its text, or its name."""

    @property
    def thinks(self) -> bool:
        """Whether answers may begin with reasoning."""

    @property
    def calls_tools(self) -> bool:
        """Whether it knows tool calls, so that answers may be some."""

    def render(self, conversation: TemplateInput) -> str:
        """The prompt."""


@dataclass(frozen=True, slots=True)
class _TurnFormat:
    """How a built-in template frames a turn: `{role}` is the role as this template names it."""

    before: str
    after: str
    names: dict[str, str] = field(default_factory=dict)
    strip: bool = True


_BUILT_IN = {
    "chatml": _TurnFormat("<|im_start|>{role}\n", "<|im_end|>\n", strip=False),
    "llama3": _TurnFormat("<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"),
    "command-r": _TurnFormat(
        "<|START_OF_TURN_TOKEN|><|{role}_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
        {"system": "SYSTEM", "user": "USER", "assistant": "CHATBOT"},
    ),
    "gemma": _TurnFormat("<start_of_turn>{role}\n", "<end_of_turn>\n", {"assistant": "model", "system": "user"}),
    "phi3": _TurnFormat("<|{role}|>\n", "<|end|>\n"),
    "zephyr": _TurnFormat("<|{role}|>\n", "<|endoftext|>\n"),
}


@dataclass(frozen=True, slots=True)
class BuiltInTemplate:
    """A template known by its name. `--no-jinja` knows only these."""

    turns: _TurnFormat
    source: str
    thinks: bool = False
    calls_tools: bool = False

    def render(self, conversation: TemplateInput) -> str:
        """The prompt."""
        parts = [self._frame(message) for message in conversation.messages]
        return "".join(parts) + (self._opening("assistant") if conversation.add_generation_prompt else "")

    def _opening(self, role: str) -> str:
        return self.turns.before.format(role=self.turns.names.get(role, role))

    def _frame(self, message: dict[str, Any]) -> str:
        text = message.get("content") or ""
        return self._opening(message["role"]) + (text.strip() if self.turns.strip else text) + self.turns.after


def find(name: str, source: str = "") -> ChatTemplate:
    """The template of a name, or of Jinja source; raises ValueError for source that is no template.

    Without a name it is that of the mock's own model, which calls tools though its template says nothing of them.
    """
    if not source and (name or "chatml") in _BUILT_IN:
        turns = _BUILT_IN[name or "chatml"]
        source = CHATML_SOURCE if turns is _BUILT_IN["chatml"] else name
        return BuiltInTemplate(turns, source, calls_tools=not name)
    from mockserver.engine.request.jinja_template import JinjaTemplate

    return JinjaTemplate(source or name)
