"""The generation parameters of one request: read from its body, checked, and shown again in its answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import float32, type_error
from mockserver.core.options import Options
from mockserver.engine.model import tokenizer
from mockserver.engine.model.lora import Scales, scales_of
from mockserver.engine.request.default_params import DEFAULTS, LONG_ONLY

_NOT_FROM_BODY = LONG_ONLY | {
    *("chat_format", "reasoning_format", "speculative.types", "lora", "samplers", "max_tokens", "n_predict"),
    *("generation_prompt", "n_probs"),
}
_MOST = 2**31 - 1
_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("n_discard", "repeat_last_n", "dry_allowed_length", "dry_penalty_last_n"), (0, _MOST)),
    "n_keep": (-1, _MOST),
    "min_keep": (0, _MOST),
    "n_predict": (-1, _MOST),
    "adaptive_decay": (0.0, 0.99),
}
_BANNED_AT = -100


@dataclass(slots=True)
class TaskParams:
    """The parameters of one request. `shown` is what `generation_settings` prints; the rest steers the mock."""

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
    verbose: bool = False
    id_slot: int = -1
    ping_seconds: int = 30
    response_fields: list[str] = field(default_factory=list)
    lora: Scales = field(default_factory=dict)

    @property
    def timed(self) -> bool:
        """Whether every token comes with timings."""
        return bool(self.shown["timings_per_token"])

    def short(self) -> dict[str, Any]:
        """The form of `/props` and `/slots`."""
        return {name: value for name, value in self.shown.items() if name not in LONG_ONLY}


def number(body: Mapping[str, Any], name: str, default: float) -> float:
    """A numeric field, `default` when absent or null; raises the 400 of a wrong type or of a value out of range."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f"Field '{name}': {type_error('number', value)}")
    low, high = _BOUNDS.get(name, (value, value))
    if not low <= value <= high:
        raise ApiError(400, f"Field '{name}': Value must be between {low} <= value <= {high}, but got {value}")
    return value


def flag(body: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A boolean field, `default` when absent or null; raises the 400 of a wrong type."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ApiError(400, f"Field '{name}': {type_error('boolean', value)}")
    return value


def defaults(options: Options) -> dict[str, Any]:
    """The server's own defaults, floats as C++ floats."""
    shown = {name: float32(value) if isinstance(value, float) else value for name, value in DEFAULTS.items()}
    shown.update(
        seed=options.sampling_seed,
        temperature=float32(options.temperature),
        max_tokens=options.n_predict,
        n_predict=options.n_predict,
        n_keep=options.keep,
        reasoning_format=options.reasoning_format,
    )
    return shown


def _limit(body: Mapping[str, Any], default: int) -> int:
    """The token limit under any of its names, -1 for none."""
    for name in ("n_predict", "max_completion_tokens", "max_tokens"):
        if body.get(name) is not None:
            return int(number({"n_predict": body[name]}, "n_predict", default))
    return default


def _stop_words(body: Mapping[str, Any]) -> list[str]:
    stop = body.get("stop")
    words = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return [word for word in words if isinstance(word, str) and word]


def _choices(body: Mapping[str, Any], most: int) -> int:
    count = int(number(body, "n_cmpl" if "n_cmpl" in body else "n", 1))
    if not 1 <= count <= most:
        raise ApiError(400, f"Field 'n': Value must be between 1 <= value <= {most}, but got {count}")
    return count


def _probabilities(body: Mapping[str, Any]) -> int:
    """How many rivals a token is shown with: native `n_probs`, or OpenAI's number or switch `logprobs`."""
    if "n_probs" in body or not isinstance(body.get("logprobs"), bool):
        return int(number(body, "n_probs" if "n_probs" in body else "logprobs", 0))
    return int(number(body, "top_logprobs", 20)) if body["logprobs"] else 0


def _biases(value: Any) -> Iterator[tuple[int, float | None]]:
    """Tokens and their biases from either form of `logit_bias`; `None` stands for minus infinity."""
    pairs = value.items() if isinstance(value, dict) else value if isinstance(value, list) else []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or pair[1] is True:
            continue
        what, given = pair
        if not isinstance(given, int | float) or not isinstance(what, int | str):
            continue
        bias = None if given is False else float32(given)
        if isinstance(what, str) and not what.lstrip("-").isdigit():
            yield from ((token, bias) for token in tokenizer.encode(what))
        elif 0 <= int(what) < tokenizer.VOCABULARY_SIZE:
            yield int(what), bias


def _apply_biases(body: Mapping[str, Any], shown: dict[str, Any]) -> frozenset[int]:
    """Show the biases, and return the tokens that they rule out."""
    biases = list(_biases(body.get("logit_bias")))
    if shown["ignore_eos"]:
        biases.append((tokenizer.EOS, None))
    shown["logit_bias"] = [{"bias": bias, "token": token} for token, bias in biases]
    return frozenset(token for token, bias in biases if bias is None or bias <= _BANNED_AT)


def _scales(body: Mapping[str, Any]) -> Scales:
    """The scales of LoRA adapters for this request; empty for the server's own."""
    wanted = body.get("lora")
    if wanted is None:
        return {}
    if not isinstance(wanted, list):
        message = "Error: 'lora' must be an array of objects with 'id' and 'scale' fields"
        raise ApiError(400, f"Field 'lora': {message}")
    return scales_of(wanted)


def read(body: Mapping[str, Any], options: Options) -> TaskParams:
    """The parameters of a request body; raises ApiError 400 naming the field that is wrong."""
    shown = defaults(options)
    for name, default in DEFAULTS.items():
        if name in _NOT_FROM_BODY or name not in body:
            continue
        if isinstance(default, bool):
            shown[name] = flag(body, name, shown[name])
        else:
            value = number(body, name, shown[name])
            shown[name] = float32(value) if isinstance(default, float) else int(value)
    limit, stop, probabilities = _limit(body, options.n_predict), _stop_words(body), _probabilities(body)
    shown.update(max_tokens=limit, n_predict=limit, stop=stop, n_probs=probabilities)
    banned, scales = _apply_biases(body, shown), _scales(body)
    shown["lora"] = [{"id": number, "scale": scale} for number, scale in scales.items()]
    sampled = shown["temperature"] > 0
    fields = body.get("response_fields")
    return TaskParams(
        shown=shown,
        stop=stop,
        n_predict=limit,
        n_probs=probabilities,
        seed=shown["seed"] % 2**32 + options.seed if sampled else options.seed,
        sampled=sampled,
        choices=_choices(body, options.slots),
        banned=banned,
        cache_prompt=flag(body, "cache_prompt", True),
        return_progress=flag(body, "return_progress"),
        return_tokens=flag(body, "return_tokens"),
        verbose=flag(body, "verbose", options.verbose),
        id_slot=int(number(body, "id_slot", -1)),
        ping_seconds=int(number(body, "sse_ping_interval", options.sse_ping_interval)),
        response_fields=[name for name in fields if isinstance(name, str)] if isinstance(fields, list) else [],
        lora=scales,
    )
