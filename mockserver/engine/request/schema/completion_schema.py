"""The fields of a completion request in the order in which llama-server reads them: name, type, limits.

Mirrors tools/server/server-schema.cpp (`make_llama_cmpl_schema`).
"""

import math
from collections.abc import Sequence

from mockserver.engine.request.schema import field_handlers as handlers
from mockserver.engine.request.schema.fields import (
    Boolean,
    Field,
    Handled,
    Nested,
    decimal,
    integer,
    long_integer,
    unsigned_integer,
)


def completion_fields(most_choices: int) -> Sequence[Field]:
    """The whole schema; a request may ask for as many choices as there are slots."""
    return [*_RESULT_FIELDS, integer("n_cmpl", "n", low=1, high=most_choices, hard=True), *_GENERATION_FIELDS]


_RESULT_FIELDS: Sequence[Field] = (
    Boolean(["verbose"]),
    Boolean(["timings_per_token"]),
    Boolean(["stream"]),
    Nested(["stream_options"], [Boolean(["include_usage"])]),
    Boolean(["cache_prompt"]),
    Boolean(["return_tokens"]),
    Boolean(["return_progress"]),
    integer("sse_ping_interval", low=-1, hard=True),
    integer("n_predict", "max_completion_tokens", "max_tokens", low=-1, hard=True),
    integer("n_indent", low=0, hard=True),
    integer("n_keep", low=-1, hard=True),
    integer("n_discard", low=0, hard=True),
)

_GENERATION_FIELDS: Sequence[Field] = (
    integer("n_cache_reuse", low=0, hard=True),
    long_integer("t_max_predict_ms", low=-1),
    Handled(["response_fields"], handlers.response_fields),
    # sampling
    integer("top_k", low=0),
    decimal("top_p", low=0, high=1),
    decimal("min_p", low=0, high=1),
    decimal("top_n_sigma"),
    decimal("xtc_probability", low=0, high=1),
    decimal("xtc_threshold", low=0, high=1),
    decimal("typical_p"),
    decimal("temperature", low=0, high=math.inf),
    decimal("dynatemp_range"),
    decimal("dynatemp_exponent"),
    integer("repeat_last_n", low=0, hard=True),
    decimal("repeat_penalty"),
    decimal("frequency_penalty"),
    decimal("presence_penalty"),
    decimal("dry_multiplier"),
    Handled(["dry_base"], handlers.dry_base),
    integer("dry_allowed_length", low=0, hard=True),
    integer("dry_penalty_last_n", low=0, hard=True),
    integer("mirostat", low=0, high=2),
    decimal("mirostat_tau"),
    decimal("mirostat_eta"),
    decimal("adaptive_target", high=1),
    decimal("adaptive_decay", low=0, high=0.99, hard=True),
    unsigned_integer("seed"),
    integer("n_probs", "logprobs"),
    integer("min_keep", low=0, hard=True),
    Boolean(["backend_sampling"]),
    Boolean(["post_sampling_probs"]),
    Handled(["lora"], handlers.lora),
    Handled(["dry_sequence_breakers"], handlers.dry_sequence_breakers),
    Handled(["json_schema", "grammar"], handlers.constraint),
    Boolean(["grammar_lazy"]),
    # how the answer is read
    Handled(["chat_format"], handlers.chat_format),
    Handled(["reasoning_format"], handlers.reasoning_format),
    Handled(["generation_prompt"], handlers.generation_prompt),
    Boolean(["parse_tool_calls"]),
    Handled(["chat_parser"], handlers.string("chat_parser")),
    Boolean(["echo"]),
    # what needs the vocabulary
    Handled(["preserved_tokens"], handlers.preserved_tokens),
    Handled(["grammar_triggers"], handlers.grammar_triggers),
    Boolean(["reasoning_control"]),
    integer("reasoning_budget_tokens", low=-1, hard=True),
    Handled(["reasoning_budget_start_tag"], handlers.string("reasoning_budget_start_tag")),
    Handled(["reasoning_budget_end_tags", "reasoning_budget_end_tag"], handlers.reasoning_budget_end),
    Handled(["logit_bias"], handlers.logit_bias),
    Handled(["ignore_eos"], handlers.ignore_eos),
    Handled(["stop"], handlers.stop),
    Handled(["samplers"], handlers.samplers),
)
