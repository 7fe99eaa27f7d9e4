"""Further fields of a body, each with values that are right, and values of other kinds that go in their place."""

from typing import Any

from scripts.drifting.generating.bodies import TOOL

_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_SAMPLING: dict[str, tuple[Any, ...]] = {
    "temperature": (0, 0.7, 1.5),
    "top_k": (0, 1, 40),
    "top_p": (0.0, 0.5, 1),
    "min_p": (0.05, 1),
    "typical_p": (0.5, 1.0),
    "top_n_sigma": (-1.0, 1.5),
    "xtc_probability": (0.0, 0.5),
    "xtc_threshold": (0.1, 0.6),
    "dynatemp_range": (0.0, 0.5),
    "dynatemp_exponent": (1.0,),
    "repeat_penalty": (1.0, 1.2),
    "repeat_last_n": (-1, 0, 64),
    "presence_penalty": (-1.0, 0.5),
    "frequency_penalty": (-1.0, 0.5),
    "dry_multiplier": (0.0, 0.8),
    "dry_base": (1.75, 0.5),
    "dry_allowed_length": (2, 0),
    "dry_penalty_last_n": (-1, 32),
    "dry_sequence_breakers": (["\n"], ["\n", ":"]),
    "mirostat": (0, 1, 2),
    "mirostat_tau": (5.0,),
    "mirostat_eta": (0.1,),
    "adaptive_target": (-1.0, 0.3),
    "adaptive_decay": (0.9,),
    "seed": (1, 0, -1, 4294967295),
    "n_keep": (0, -1, 4),
    "n_discard": (0, 4),
    "n_probs": (0, 2),
    "min_keep": (0, 2),
    "ignore_eos": (True, False),
    "cache_prompt": (True, False),
    "return_tokens": (True, False),
    "return_progress": (True, False),
    "timings_per_token": (True, False),
    "post_sampling_probs": (True, False),
    "stop": ("zz", ["yy", "zz"], []),
    "logit_bias": ([[504, -1.5]], {"504": 1}, [["the", -2]], [[504, False]]),
    "samplers": (["top_k", "temperature"], "kt", []),
    "grammar": ('root ::= "a"+', "root ::= [a-z]+ "),
    "json_schema": (_SCHEMA, {"type": "string"}, {}),
    "t_max_predict_ms": (1000,),
    "id_slot": (-1, 0, 1),
    "n_cache_reuse": (0, 2),
    "sse_ping_interval": (-1, 30),
    "lora": ([],),
    "n_cmpl": (1, 2),
    "n": (1, 2),
    "model": ("local", "gpt-4o", ""),
    "user": ("u",),
    "no_such_field": (1, {"a": []}),
}
_CHAT: dict[str, tuple[Any, ...]] = {
    **_SAMPLING,
    "logprobs": (True, False),
    "top_logprobs": (0, 2),
    "stream_options": ({"include_usage": True}, {}),
    "reasoning_format": ("none", "auto", "deepseek"),
    "reasoning_effort": ("low", "high", "none"),
    "chat_template_kwargs": ({}, {"enable_thinking": False}),
    "response_format": (
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"schema": _SCHEMA}},
    ),
    "tools": ([TOOL], []),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True, False),
    "add_generation_prompt": (True, False),
    "parse_tool_calls": (True, False),
    "max_completion_tokens": (2, 4),
    "thinking_budget_tokens": (0, 10),
    "continue_final_message": (True, False),
}
_RESPONSES: dict[str, tuple[Any, ...]] = {
    "instructions": ("Be brief.", ""),
    "temperature": (0, 1),
    "top_p": (0.5,),
    "tools": ([{"type": "function", "name": "f", "parameters": _SCHEMA}], []),
    "tool_choice": ("auto", "none"),
    "reasoning": ({"effort": "low"}, {}),
    "text": ({"format": {"type": "text"}}, {"format": {"type": "json_schema", "name": "s", "schema": _SCHEMA}}),
    "previous_response_id": (None, ""),
    "parallel_tool_calls": (True,),
    "store": (True, False),
    "metadata": ({"a": "b"},),
    "model": ("local", ""),
}
_ANTHROPIC: dict[str, tuple[Any, ...]] = {
    "system": ("Be brief.", [{"type": "text", "text": "Be brief."}], []),
    "temperature": (0, 1),
    "top_k": (1,),
    "top_p": (0.5,),
    "stop_sequences": (["zz"], []),
    "thinking": ({"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}),
    "metadata": ({"user_id": "u"}, {}),
    "service_tier": ("auto",),
    "output_config": ({"effort": "low"},),
}
_NATIVE: dict[str, tuple[Any, ...]] = {
    **_SAMPLING,
    "response_fields": (["content"], ["content", "timings/predicted_n"], ["none_such"]),
    "n_indent": (0, 2),
}
_INFILL: dict[str, tuple[Any, ...]] = {
    "prompt": ("x = ",),
    "input_extra": ([{"filename": "a.py", "text": "b = 1"}], []),
}
_EMBEDDINGS: dict[str, tuple[Any, ...]] = {
    "model": ("local", "other"),
    "dimensions": (8,),
    "embd_normalize": (-1, 0, 1, 2),
    "user": ("u",),
}
_COMPLETION: dict[str, tuple[Any, ...]] = {**_SAMPLING, "logprobs": (0, 2), "echo": (False, True), "suffix": ("end",)}
_TEMPLATE = {
    name: _CHAT[name] for name in ("tools", "tool_choice", "add_generation_prompt", "chat_template_kwargs", "stop")
}

FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "chat": _CHAT,
    "chat tools": {**_CHAT, "tool_choice": ("auto", "none", "required")},
    "completion": _COMPLETION,
    "native completion": _NATIVE,
    "infill": _INFILL,
    "responses": _RESPONSES,
    "messages": _ANTHROPIC,
    "messages tools": _ANTHROPIC,
    "template": {**_TEMPLATE, "response_format": _CHAT["response_format"]},
    "tokenize": {"parse_special": (True, False)},
    "embeddings": _EMBEDDINGS,
    "native embedding": _EMBEDDINGS,
    "rerank": {"model": ("local",), "return_text": (True, False)},
}
"""By family. One that is not here has no further fields."""

# What may stand where something else belongs: each kind of JSON, and numbers at the ends of C++'s types.
ODD: tuple[Any, ...] = (
    *(None, True, False, "", "x", "5", [], {}, [1], ["a"], {"a": 1}, [None], [[]]),
    *(0, 1, -1, 2, 1.5, -0.5, 2**31, -(2**31) - 1, 2**63, 2**64, 10**12, 1e300, -1e300, 1e-300),
    *("\x00", "a\u0000b", "</think>", "<|im_end|>", "auto", "none", "nope", " \n", "ü" * 30),
)
