"""What a slot's context holds: how much room a prompt leaves, and what goes when there is none left.

Mirrors tools/server/server-context.cpp (its context shift).
"""

import sys
from collections.abc import MutableSequence
from typing import Any

from mockserver.core.options import Options

_LEAST_SHIFTED = 4
"""Tokens of a context that cannot be kept when it is shifted (llama.cpp's own number)."""


def room(options: Options, prompt_tokens: int) -> int:
    """Tokens that may follow a prompt: without an end when the context is shifted."""
    return sys.maxsize if options.context_shift else options.slot_context - prompt_tokens


def is_full(options: Options, held: int) -> bool:
    """Whether a context that holds so many tokens has no place for the next one."""
    return options.context_shift and held + 1 >= options.slot_context


def shift(tokens: MutableSequence[int], params: dict[str, Any], prompt_tokens: int, context: int) -> None:
    """Keep the `<s>` and `n_keep` tokens (-1: the prompt); of those after them drop `n_discard` (0: half)."""
    kept = prompt_tokens if params["n_keep"] < 0 else params["n_keep"]
    kept = min(context - _LEAST_SHIFTED, kept + 1)
    left = len(tokens) - kept
    discarded = params["n_discard"] or left // 2
    del tokens[kept : kept + max(0, min(discarded, left - 1))]
