"""The `server.usage` section of the configuration file: how long usage is kept, and what it costs. Pure: no I/O."""

from typing import Annotated

from pydantic import Field

from gateway.config.setting_types import NO_BOOL, Id, Model

Price = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False), NO_BOOL]


class PriceList(Model):
    """What use costs. A price that is left out is none."""

    tokens_in: Price | None = Field(default=None, description="Price of a million tokens read.")
    tokens_cached: Price | None = Field(
        default=None,
        description="Price of a million of those tokens that were in the model server's cache; that of others if it "
        "is left out.",
    )
    tokens_out: Price | None = Field(default=None, description="Price of a million tokens written.")
    slot_hour: Price | None = Field(default=None, description="Price of an hour in which a request had its place.")


class Prices(PriceList):
    """What use costs, where no deployment says otherwise."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        default="EUR", description="What prices are in: three letters, as ISO 4217 has them."
    )
    deployments: dict[Id, PriceList] = Field(
        default={}, description="Prices of single deployments, by their id; those they leave out are as above."
    )


class UsageKept(Model):
    """What is kept of who used how much; with a database only."""

    hours_days: Annotated[int, Field(ge=1, le=36_500), NO_BOOL] = Field(
        default=90, description="Days for which usage is kept by the hour. By the day it is kept for ever."
    )
    metrics_by_key: Annotated[int, Field(ge=0, le=10_000), NO_BOOL] = Field(
        default=0,
        description="How many keys `/metrics` tells apart, of each worker, in its `gguf_usage_…` series; more are "
        "counted as `other`. None by default: they are by account and deployment alone.",
    )
    prices: Prices = Field(default=Prices(), description="What use costs. Nothing by default.")
