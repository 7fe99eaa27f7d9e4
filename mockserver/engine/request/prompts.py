"""A prompt in a request: text, tokens, both mixed, an object, or several of these.

Mirrors tools/server/server-common.cpp (`tokenize_input_prompts`, `tokenize_input_subprompt`, `tokenize_mixed`,
`tokenize_oai_content_array`).
"""

from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_int, as_ints, as_text, contains, is_integer, value_or
from mockserver.engine.model.tokenizer import Vocabulary
from mockserver.engine.request.chat_messages import check_media

_BAD_ELEMENTS = (
    '"prompt" elements must be a string, a list of tokens, a JSON object containing a prompt string, '
    "or a list of mixed strings & tokens."
)
_NO_MEDIA = "Multimodal data provided, but model does not support multimodal requests."


def is_list_of_prompts(value: Any) -> bool:
    """Whether an array holds prompts, rather than being one; a single number makes it one."""
    return isinstance(value, list) and not any(map(is_integer, value))


def many(vocabulary: Vocabulary, value: Any) -> list[list[int]]:
    """Tokens of every prompt of a request. Raises ApiError 400, and 500 for multimodal data."""
    inputs = [one(vocabulary, item) for item in (value if is_list_of_prompts(value) else [value])]
    if not inputs:
        raise ApiError(400, '"prompt" must not be empty')
    return inputs


def one(vocabulary: Vocabulary, value: Any) -> list[int]:
    """Tokens of a single prompt. Raises ApiError as `many` does."""
    if isinstance(value, str) or _has_numbers_and_texts(value):
        return mixed(vocabulary, value, add_special=True, parse_special=True)
    if isinstance(value, list) and all(map(is_integer, value)):
        return as_ints(value)
    if not contains(value, "prompt_string"):
        raise ApiError(400, _BAD_ELEMENTS)
    if "multimodal_data" in value:
        raise ApiError(500, _NO_MEDIA)
    return mixed(vocabulary, value["prompt_string"], add_special=True, parse_special=True)


def mixed(vocabulary: Vocabulary, value: Any, *, add_special: bool, parse_special: bool) -> list[int]:
    """Tokens of a text, or of an array of texts and tokens; special ones are added only before a text at its beginning.

    Raises ApiError 400.
    """
    if not isinstance(value, list):
        return vocabulary.encode(as_text(value), add_special=add_special, parse_special=parse_special)
    tokens: list[int] = []
    for place, item in enumerate(value):
        if isinstance(item, str):
            tokens += vocabulary.encode(item, add_special=add_special and place == 0, parse_special=parse_special)
        else:
            tokens.append(as_int(item))
    return tokens


def content(vocabulary: Vocabulary, value: Any) -> list[int]:
    """Tokens of a `content` in OpenAI's form, the texts of its parts joined.

    Raises ApiError 400, and 500 for media, which no model without its projector takes.
    """
    if not isinstance(value, list):
        raise ApiError(400, '"content" must be an array')
    check_media(value)
    text = "".join(value_or(part, "text", as_text, "") for part in value)
    return vocabulary.encode(text, add_special=True)


def _has_numbers_and_texts(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return any(map(is_integer, value)) and any(isinstance(item, str) for item in value)
