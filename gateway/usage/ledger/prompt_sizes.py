"""How many tokens a request's bytes make, as learned of those that stated it: for those of which nobody did.

A stream that broke off states nothing, mostly; nor does one of Anthropic's whose first token is the first part of an
emoji: a llama-server leaves its `message_start` out.
"""

from collections.abc import Iterable
from dataclasses import replace

from gateway.core.exchange import Exchange

_REMEMBERED_BYTES = 1_000_000  # of requests to one endpoint; what is older than these counts half, and so on


class PromptSizes:
    """Bytes and tokens of prompts, for each deployment and endpoint: they share a model, and the form of a request."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str | None, str | None], tuple[float, float]] = {}  # bytes, tokens

    def learn(self, exchanges: Iterable[Exchange]) -> None:
        """Note exchanges of one deployment and endpoint that have stated their usage."""
        told = [(one, one.usage.tokens_in) for one in exchanges if one.usage is not None and not one.usage.counted]
        told = [pair for pair in told if pair[1]]
        if not told:
            return
        place = told[0][0].deployment, told[0][0].endpoint
        known_bytes, known_tokens = self._seen.get(place, (0.0, 0.0))
        sizes = known_bytes + sum(one.bytes_in for one, _ in told), known_tokens + sum(tokens for _, tokens in told)
        share = 0.5 if sizes[0] > _REMEMBERED_BYTES else 1.0
        self._seen[place] = sizes[0] * share, sizes[1] * share

    def add_to(self, exchange: Exchange) -> None:
        """Give an exchange whose written tokens are known, and whose prompt is not, a prompt by its bytes."""
        usage = exchange.usage
        if usage is None or usage.tokens_in or not usage.tokens_out:
            return
        size, tokens = self._seen.get((exchange.deployment, exchange.endpoint), (0.0, 0.0))
        tokens_in = round(exchange.bytes_in * tokens / size) if size else 0
        exchange.usage = replace(usage, tokens_in=tokens_in, counted=usage.counted + tokens_in)
