"""The generation parameters of llama-server with their defaults, in the order in which it shows them.

Mirrors tools/server/server-task.cpp (`task_params::to_json`).
"""

from typing import Any

from mockserver.core.nlohmann_json import float32

_SAMPLERS = ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"]
_AS_WRITTEN: dict[str, Any] = {
    "seed": 4294967295,
    "temperature": 0.8,
    "dynatemp_range": 0.0,
    "dynatemp_exponent": 1.0,
    "top_k": 40,
    "top_p": 0.95,
    "min_p": 0.05,
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "xtc_threshold": 0.1,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": 64,
    "dry_sequence_breakers": ["\n", ":", '"', "*"],
    "mirostat": 0,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "adaptive_target": -1.0,
    "adaptive_decay": 0.9,
    "stop": [],
    "max_tokens": -1,
    "n_predict": -1,
    "n_keep": 0,
    "n_discard": 0,
    "ignore_eos": False,
    "stream": False,
    "logit_bias": [],
    "n_probs": 0,
    "min_keep": 0,
    "grammar": "",
    "grammar_lazy": False,
    "grammar_triggers": [],
    "preserved_tokens": [],
    "chat_format": "Content-only",
    "reasoning_format": "deepseek",
    "reasoning_in_content": False,
    "generation_prompt": "",
    "samplers": _SAMPLERS,
    "speculative.types": "none",
    "timings_per_token": False,
    "post_sampling_probs": False,
    "backend_sampling": False,
    "lora": [],
}

DEFAULTS = {name: float32(value) if isinstance(value, float) else value for name, value in _AS_WRITTEN.items()}
"""Floats are C++ floats: 0.8 is 0.800000011920929."""

HIDDEN_DEFAULTS: dict[str, Any] = {
    "verbose": False,
    "include_usage": False,
    "cache_prompt": True,
    "return_tokens": False,
    "return_progress": False,
    "sse_ping_interval": 30,
    "n_cmpl": 1,
    "response_fields": [],
    "lora_scales": {},
    "json_schema": None,
    "reasoning_control": False,
}
"""What a request may set and no answer shows."""

LONG_ONLY = frozenset(
    ("dry_sequence_breakers", "stop", "logit_bias", "grammar", "grammar_lazy", "grammar_triggers", "preserved_tokens")
)
"""Parameters that `/props` and `/slots` leave out."""
