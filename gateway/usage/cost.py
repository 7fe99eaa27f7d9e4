"""What use costs, by the prices of `server.usage.prices`. Pure: no I/O."""

from dataclasses import fields

from gateway.config.price_settings import PriceList, Prices

_TOKENS = 1_000_000  # that a price is for
_HOUR = 3600.0


def prices_of(prices: Prices, deployment: str) -> PriceList:
    """The prices that hold for a deployment: its own, and where it names none those for all."""
    own = prices.deployments.get(deployment)
    if own is None:
        return prices
    return PriceList(**{one.name: _either(own, prices, one.name) for one in fields(PriceList)})


def cost_of(
    price: PriceList, *, tokens_in: int, tokens_cached: int, tokens_out: int, slot_seconds: float
) -> float | None:
    """What these sums of one deployment cost, in the prices' currency; None where there is no price at all.

    `tokens_in` has the cached ones in it. Costs of several deployments are added up: each has prices of its own.

    >>> prices = PriceList(tokens_in=2.0, tokens_cached=0.5, tokens_out=8.0)
    >>> cost_of(prices, tokens_in=3_000_000, tokens_cached=2_000_000, tokens_out=500_000, slot_seconds=60.0)
    7.0
    """
    cached = price.tokens_in if price.tokens_cached is None else price.tokens_cached
    if price.tokens_in is None and cached is None and price.tokens_out is None and price.slot_hour is None:
        return None
    fresh_tokens = max(tokens_in - tokens_cached, 0)
    for_tokens = fresh_tokens * (price.tokens_in or 0) + tokens_cached * (cached or 0)
    for_tokens += tokens_out * (price.tokens_out or 0)
    return for_tokens / _TOKENS + slot_seconds * (price.slot_hour or 0) / _HOUR


def _either(own: PriceList, general: PriceList, name: str) -> float | None:
    value: float | None = getattr(own, name)
    return getattr(general, name) if value is None else value
