"""The `timings` object: what was processed, what was generated, and how fast.

Mirrors tools/server/server-common.cpp (`server_slot_stats`).
"""

from dataclasses import dataclass
from typing import Any

SHORTEST_SECONDS = 1e-6
"""That work takes at least, so that no rate is infinite."""


@dataclass(slots=True)
class Timings:
    """Counts and milliseconds of one request. `prompt_n` leaves out the tokens found in the cache."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0

    def copy(self) -> "Timings":
        """The timings as they are now; those of a running task go on changing."""
        return Timings(self.cache_n, self.prompt_n, self.prompt_ms, self.predicted_n, self.predicted_ms)

    def as_json(self) -> dict[str, Any]:
        """The object as sent; the generation rate leaves out the first token, which the prompt paid for."""
        steps = self.predicted_n - 1
        generating = steps > 0 and self.predicted_ms > 0
        return {
            "cache_n": self.cache_n,
            "prompt_n": self.prompt_n,
            "prompt_ms": self.prompt_ms,
            "prompt_per_token_ms": self.prompt_ms / self.prompt_n if self.prompt_n else 0.0,
            "prompt_per_second": self.prompt_n / self.prompt_ms * 1000 if self.prompt_ms else 0.0,
            "predicted_n": self.predicted_n,
            "predicted_ms": self.predicted_ms,
            "predicted_per_token_ms": self.predicted_ms / steps if generating else 0.0,
            "predicted_per_second": steps / self.predicted_ms * 1000 if generating else 0.0,
        }
