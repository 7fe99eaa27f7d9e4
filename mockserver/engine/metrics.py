"""The counters behind `/metrics`, and their Prometheus text.

Mirrors tools/server/server-task.cpp (`server_task_result_metrics`).
"""

from dataclasses import dataclass

_COUNTERS = (
    ("prompt_tokens_total", "Number of prompt tokens processed, excluding cached tokens"),
    ("prompt_tokens_cached_total", "Number of prompt tokens reused from the cache"),
    ("prompt_seconds_total", "Total time spent processing prompts"),
    ("tokens_predicted_total", "Number of generation tokens processed"),
    ("tokens_predicted_seconds_total", "Total time spent generating tokens"),
    (
        "n_decode_total",
        "Total number of llama_decode() calls, excluding speculative decoding and multimodal decoding",
    ),
    ("n_tokens_max", "Largest observed sequence length (prompt + generation)"),
    ("spec_decode_num_draft_tokens_total", "Speculative: Total draft tokens generated"),
    ("spec_decode_num_accepted_tokens_total", "Speculative: Total draft tokens accepted by the target model"),
    ("spec_decode_num_drafts_total", "Speculative: Total speculative decoding verification steps"),
)
_GAUGES = (
    ("prompt_tokens_seconds", "Average prompt throughput in tokens/s"),
    ("predicted_tokens_seconds", "Average generation throughput in tokens/s"),
    ("requests_processing", "Number of requests processing"),
    ("requests_deferred", "Number of requests deferred"),
    ("n_busy_slots_per_decode", "Average number of busy slots per llama_decode() call"),
)


@dataclass(slots=True)
class _Window:
    """What happened since the last scrape: the throughput gauges are averages over it."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    predicted_tokens: int = 0
    predicted_seconds: float = 0.0


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self._totals: dict[str, float] = {name: 0 for name, _ in _COUNTERS}
        self._window = _Window()
        self._busy = 0

    def decoded(self, busy_slots: int) -> None:
        """One batch went through the model while so many slots were at work."""
        self._totals["n_decode_total"] += 1
        self._busy += busy_slots

    def prompt_done(self, processed: int, cached: int, seconds: float) -> None:
        """A prompt is in."""
        self._totals["prompt_tokens_total"] += processed
        self._totals["prompt_tokens_cached_total"] += cached
        self._totals["prompt_seconds_total"] += seconds
        self._window.prompt_tokens += processed
        self._window.prompt_seconds += seconds

    def answer_done(self, prompt: int, predicted: int, seconds: float) -> None:
        """An answer is over, or was broken off. The first token of each cost no step of its own."""
        self._totals["tokens_predicted_total"] += predicted
        self._totals["tokens_predicted_seconds_total"] += seconds
        self._totals["n_tokens_max"] = max(self._totals["n_tokens_max"], prompt + predicted)
        self._window.predicted_tokens += max(predicted - 1, 0)
        self._window.predicted_seconds += seconds

    def scrape(self, processing: int, deferred: int) -> str:
        """The text of `/metrics`; the averages start anew."""
        window, self._window = self._window, _Window()
        decodes = self._totals["n_decode_total"]
        values = self._totals | {
            "prompt_tokens_seconds": _rate(window.prompt_tokens, window.prompt_seconds),
            "predicted_tokens_seconds": _rate(window.predicted_tokens, window.predicted_seconds),
            "requests_processing": processing,
            "requests_deferred": deferred,
            "n_busy_slots_per_decode": self._busy / decodes if decodes else 0,
        }
        kinds = [("counter", *counter) for counter in _COUNTERS] + [("gauge", *gauge) for gauge in _GAUGES]
        return "".join(
            f"# HELP llamacpp:{name} {text}\n# TYPE llamacpp:{name} {kind}\nllamacpp:{name} {_text(values[name])}\n"
            for kind, name, text in kinds
        )


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0


def _text(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
