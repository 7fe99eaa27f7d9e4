"""What a chat template is given.

Mirrors common/chat.cpp (`common_chat_template_direct_apply`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """All that a template may use."""

    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]] = ()
    add_generation_prompt: bool = True
    thinking: bool = True
    variables: dict[str, Any] = field(default_factory=dict)
