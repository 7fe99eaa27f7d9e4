"""Bodies that are right, by the family of endpoints they go to: what a client sends that knows the API."""

from typing import Any

_WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": _WEATHER},
}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_USER = {"role": "user", "content": "Name a colour."}
_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}

CHAT: tuple[list[Any], ...] = (
    [_USER],
    [{"role": "system", "content": "Be brief."}, _USER],
    [{"role": "developer", "content": "Be brief."}, _USER],
    [_USER, {"role": "assistant", "content": "Red."}, {"role": "user", "content": "Another, größer: 你好 🎨"}],
    [{"role": "user", "content": [{"type": "text", "text": "Name"}, {"type": "text", "text": " one."}]}],
    [
        _USER,
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sun."},
    ],
    [_USER, {"role": "assistant", "content": "Red.", "reasoning_content": "Warm?"}, _USER],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}],
    [_USER, {"role": "assistant", "content": "My favourite is"}],
)
ANTHROPIC: tuple[list[Any], ...] = (
    [_USER],
    [{"role": "user", "content": [{"type": "text", "text": "Name one.", "cache_control": {"type": "ephemeral"}}]}],
    [
        _USER,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bern"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Sun."}]},
    ],
    [
        _USER,
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Warm?", "signature": "s"}, {"type": "text", "text": "Red."}],
        },
        _USER,
    ],
    [
        {
            "role": "user",
            "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PIXEL}}],
        }
    ],
    [_USER, {"role": "assistant", "content": "My favourite is"}],
)
INPUT: tuple[Any, ...] = (
    "Name a colour.",
    [_USER],
    [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Name one."}]}],
    [
        _USER,
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Warm?"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Sun."},
    ],
    [
        _USER,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "Sun."}]},
    ],
    [
        _USER,
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Red.", "annotations": []}],
        },
        _USER,
    ],
    [{"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{_PIXEL}"}]}],
    [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}],
)
PROMPT: tuple[Any, ...] = (
    "Once upon a time",
    "Grüße, 世界 🌍",
    [504, 2080],
    ["One day", 504, " later"],
    ["Once", "Twice"],
    [[504, 2080], "Once"],
    {"prompt_string": "Once", "multimodal_data": []},
    "long " * 1200,
)
TEXTS: tuple[Any, ...] = (
    "a cat",
    ["a cat", "two dogs"],
    [504, 2080],
    [[504], [2080, 3]],
    "long " * 700,
    ["", "x"],
    [{"prompt_string": "x"}],
)

_CHAT_TOOL = {"tools": [TOOL], "max_tokens": 24}
_INFILL = {"input_prefix": "def f():", "input_suffix": "return 1", "n_predict": 3}
_MESSAGES = {"model": "local", "max_tokens": 4, "messages": ANTHROPIC}
_TOOL = {"name": "weather", "input_schema": _WEATHER}

# Family, paths, and a body in which a tuple stands for one of several.
BODIES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "chat": (
        ("/v1/chat/completions", "/chat/completions"),
        {"messages": CHAT, "max_tokens": (2, 5), "stream": (False, True)},
    ),
    "chat tools": (("/v1/chat/completions",), {"messages": CHAT, **_CHAT_TOOL, "stream": (False, True)}),
    "completion": (("/v1/completions",), {"prompt": PROMPT, "max_tokens": (2, 5), "stream": (False, True)}),
    "native completion": (
        ("/completion", "/completions"),
        {"prompt": PROMPT, "n_predict": (2, 5), "stream": (False, True)},
    ),
    "infill": (("/infill",), _INFILL),
    "responses": (
        ("/v1/responses", "/responses"),
        {"input": INPUT, "max_output_tokens": (2, 5), "stream": (False, True)},
    ),
    "messages": (("/v1/messages", "/v1/messages?beta=true"), {**_MESSAGES, "stream": (False, True)}),
    "messages tools": (
        ("/v1/messages",),
        {**_MESSAGES, "tools": [_TOOL], "tool_choice": ({"type": "auto"}, {"type": "none"})},
    ),
    "count messages": (("/v1/messages/count_tokens",), {"model": "local", "messages": ANTHROPIC}),
    "count chat": (("/v1/chat/completions/input_tokens",), {"messages": CHAT}),
    "count responses": (("/v1/responses/input_tokens",), {"input": INPUT}),
    "tokenize": (("/tokenize",), {"content": PROMPT[:4], "add_special": (True, False), "with_pieces": (False, True)}),
    "detokenize": (("/detokenize",), {"tokens": ([504, 2080], [], [1, 0, 2])}),
    "template": (("/apply-template",), {"messages": CHAT}),
    "control": (("/v1/chat/completions/control",), {"id": "chatcmpl-1", "action": "reasoning_end"}),
    "streams": (("/v1/streams/lookup",), {"conversation_ids": ["a"]}),
    "lora": (("/lora-adapters",), {"id": 0, "scale": 1.0}),
    "embeddings": (("/v1/embeddings", "/embeddings"), {"input": TEXTS, "encoding_format": ("float", "base64")}),
    "native embedding": (("/embedding",), {"content": TEXTS}),
    "rerank": (
        ("/v1/rerank", "/rerank", "/reranking"),
        {"query": "a cat", "documents": ["a cat", "a dog", "a bird"], "top_n": (1, 2, 3)},
    ),
}
