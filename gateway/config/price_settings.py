"""The `server.usage` section of the configuration file: how long usage is kept, and what it costs. Pure: no I/O."""

import re
from typing import Annotated

from gateway.config.section import Bounds, Checked, section, setting
from gateway.config.setting_types import Days, Id

_CURRENCY = re.compile("[A-Z]{3}").fullmatch


def _currency(value: str) -> str:
    if _CURRENCY(value) is None:
        raise ValueError("must be three capital letters, like EUR")
    return value


Currency = Annotated[str, Checked(_currency, {"pattern": "^[A-Z]{3}$"})]
Price = Annotated[float, Bounds(ge=0, le=1_000_000_000)]


@section
class PriceList:
    """What use costs. A price that is left out is none."""

    tokens_in: Price | None = setting(default=None, description="Price of a million tokens read.")
    tokens_cached: Price | None = setting(
        default=None,
        description="Price of a million of those tokens that were in the model server's cache; that of others if it "
        "is left out.",
    )
    tokens_out: Price | None = setting(default=None, description="Price of a million tokens written.")
    slot_hour: Price | None = setting(default=None, description="Price of an hour in which a request had its place.")


@section
class Prices(PriceList):
    """What use costs, where no deployment says otherwise."""

    currency: Currency = setting(default="EUR", description="What prices are in: three letters, as ISO 4217 has them.")
    deployments: dict[Id, PriceList] = setting(
        default_factory=dict,
        description="Prices of single deployments, by their id; those they leave out are as above.",
    )


@section
class UsageKept:
    """What is kept of who used how much; with a database only."""

    hours_days: Days = setting(
        default=90, description="Days for which usage is kept by the hour. By the day it is kept for ever."
    )
    metrics_by_key: Annotated[int, Bounds(ge=0, le=10_000)] = setting(
        default=0,
        description="How many keys `/metrics` tells apart, of each worker, in its `gguf_usage_…` series; more are "
        "counted as `other`. None by default: they are by account and deployment alone.",
    )
    prices: Prices = setting(default=Prices(), description="What use costs. Nothing by default.")
