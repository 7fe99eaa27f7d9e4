"""The `prompt` of a completion request: text, tokens, both mixed, an object, or several of these.

Mirrors tools/server/server-common.cpp (`tokenize_input_prompts`).
"""

from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.engine.model import tokenizer

_BAD_ELEMENTS = (
    '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, '
    "or a list of mixed strings & tokens."
)
_NO_MEDIA = "Multimodal data provided, but model does not support multimodal requests."


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_mixed(value: Any) -> bool:
    """Whether a list is one prompt (tokens with or without text between) rather than a list of prompts."""
    return (
        isinstance(value, list)
        and any(map(_is_int, value))
        and all(_is_int(item) or isinstance(item, str) for item in value)
    )


def one(value: Any, *, add_bos: bool = True) -> list[int]:
    """Tokens of a single prompt; raises ApiError 400."""
    if isinstance(value, str):
        return tokenizer.encode(value, add_bos=add_bos)
    if is_mixed(value):
        tokens: list[int] = []
        for item in value:
            tokens += tokenizer.encode(item, add_bos=not tokens) if isinstance(item, str) else [item]
        if not all(0 <= token < tokenizer.VOCABULARY_SIZE for token in tokens):
            raise ApiError(400, "Prompt contains invalid tokens")
        return tokens
    if isinstance(value, dict) and isinstance(value.get("prompt_string"), str):
        if value.get("multimodal_data"):
            raise ApiError(400, _NO_MEDIA)
        return tokenizer.encode(value["prompt_string"], add_bos=add_bos)
    raise ApiError(400, _BAD_ELEMENTS)


def many(value: Any) -> list[list[int]]:
    """Tokens of every prompt of a request; raises ApiError 400."""
    if isinstance(value, list) and not is_mixed(value):
        if not value:
            raise ApiError(400, '"prompt" must not be empty')
        return [one(item) for item in value]
    return [one(value)]


def shown(tokens: list[int]) -> str:
    """A prompt as answers show it: special tokens by name, a blank after the first as SentencePiece has it."""
    if tokens[:1] == [tokenizer.BOS]:
        return f"{tokenizer.SPECIALS[tokenizer.BOS]} {tokenizer.decode(tokens[1:])}"
    return tokenizer.decode(tokens)
