"""The generation parameters of one request: read from its body, checked, and shown again in its answer.

Mirrors tools/server/server-schema.cpp (`eval_llama_cmpl_schema`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mockserver.core.json_values import as_int, value_or
from mockserver.core.nlohmann_json import float32
from mockserver.core.options import Options
from mockserver.engine.model.lora import Scales
from mockserver.engine.model.tokenizer import VOCABULARIES
from mockserver.engine.request.schema.completion_schema import completion_fields
from mockserver.engine.request.schema.default_params import DEFAULTS, HIDDEN_DEFAULTS, LONG_ONLY
from mockserver.engine.request.schema.fields import Values, evaluate, finite

_BANNED_AT = -100
DEFAULT_SEED = 4294967295
"""The seed that stands for a random one (`LLAMA_DEFAULT_SEED`)."""

_fields = lru_cache(completion_fields)


@dataclass(slots=True)
class TaskParams:
    """The parameters of one request. `shown` is what `generation_settings` prints; the rest steers the mock.

    `json_schema` is the schema that `shown` has as a grammar, None if there is none; `completion_id` is the id of the
    answer.
    """

    shown: dict[str, Any]
    stop: list[str] = field(default_factory=list)
    n_predict: int = -1
    n_probs: int = 0
    seed: int = 0
    sampled: bool = True
    choices: int = 1
    banned: frozenset[int] = frozenset()
    cache_prompt: bool = True
    return_progress: bool = False
    return_tokens: bool = False
    include_usage: bool = False
    verbose: bool = False
    id_slot: int = -1
    ping_seconds: int = 30
    response_fields: list[str] = field(default_factory=list)
    lora: Scales = field(default_factory=dict)
    json_schema: Any = None
    reasoning_control: bool = False
    completion_id: str = ""

    @property
    def timed(self) -> bool:
        """Whether every token comes with timings."""
        return bool(self.shown["timings_per_token"])

    def short(self) -> dict[str, Any]:
        """The form of `/props` and `/slots`."""
        return {name: value for name, value in self.shown.items() if name not in LONG_ONLY}

    def shown_for(self, choice: int) -> dict[str, Any]:
        """What the answer of a choice, counted from 0, shows: each after the first has a seed of its own."""
        if not choice or self.shown["seed"] == DEFAULT_SEED:
            return self.shown
        return self.shown | {"seed": (self.shown["seed"] + choice) % 2**32}


def defaults(options: Options) -> dict[str, Any]:
    """The server's own defaults."""
    return DEFAULTS | {
        "seed": options.sampling_seed,
        "temperature": float32(options.temperature),
        "max_tokens": options.n_predict,
        "n_predict": options.n_predict,
        "n_keep": options.keep,
        "reasoning_format": options.reasoning_format,
    }


def read(body: Mapping[str, Any], options: Options) -> TaskParams:
    """The parameters of a request body; raises ApiError 400 naming the first field that is wrong."""
    values: Values = defaults(options) | HIDDEN_DEFAULTS
    values |= {"sse_ping_interval": options.sse_ping_interval, "verbose": options.verbose}
    values["vocabulary"] = VOCABULARIES[options.vocabulary]
    evaluate(_fields(options.slots), values, body)
    shown = {name: values[name] for name in DEFAULTS}
    shown.update(
        max_tokens=values["n_predict"],
        reasoning_in_content=values["stream"] and values["reasoning_format"] == "deepseek-legacy",
        lora=[{"id": number, "scale": scale} for number, scale in values["lora_scales"].items()],
    )
    sampled = shown["temperature"] > 0
    return TaskParams(
        shown={name: finite(value) if isinstance(value, float) else value for name, value in shown.items()},
        stop=values["stop"],
        n_predict=values["n_predict"],
        n_probs=values["n_probs"],
        seed=values["seed"] + options.seed if sampled else options.seed,
        sampled=sampled,
        choices=values["n_cmpl"],
        banned=frozenset(_banned(values["logit_bias"])),
        cache_prompt=values["cache_prompt"],
        return_progress=values["return_progress"],
        return_tokens=values["return_tokens"],
        include_usage=values["include_usage"],
        verbose=values["verbose"],
        id_slot=value_or(body, "id_slot", as_int, -1),
        ping_seconds=values["sse_ping_interval"],
        response_fields=values["response_fields"],
        lora=values["lora_scales"],
        json_schema=values["json_schema"],
        reasoning_control=values["reasoning_control"],
    )


def _banned(biases: list[dict[str, Any]]) -> list[int]:
    """The tokens that biases rule out."""
    return [entry["token"] for entry in biases if entry["bias"] is None or entry["bias"] <= _BANNED_AT]
