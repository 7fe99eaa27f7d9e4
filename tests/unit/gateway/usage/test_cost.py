"""What use costs: by prices for all, and by those of a deployment."""

import pytest

from gateway.config.price_settings import PriceList, Prices
from gateway.config.settings import parse
from gateway.usage.cost import cost_of, prices_of
from tests.unit.gateway.config.settings_texts import GOOD, errors_of

MILLION = 1_000_000


def cost(price: PriceList, fresh: int = 0, cached: int = 0, out: int = 0, slot_seconds: float = 0.0) -> float | None:
    return cost_of(price, tokens_in=fresh + cached, tokens_cached=cached, tokens_out=out, slot_seconds=slot_seconds)


def test_nothing_costs_anything_where_there_is_no_price() -> None:
    assert cost(Prices(), fresh=MILLION, out=MILLION, slot_seconds=3600) is None


def test_a_price_of_nothing_is_a_price() -> None:
    assert cost(PriceList(tokens_in=0.0), fresh=MILLION) == 0.0


def test_each_kind_of_use_has_its_price() -> None:
    price = PriceList(tokens_in=2.0, tokens_cached=0.5, tokens_out=8.0, slot_hour=1.0)
    assert cost(price, fresh=MILLION) == 2.0
    assert cost(price, cached=MILLION) == 0.5
    assert cost(price, out=MILLION) == 8.0
    assert cost(price, slot_seconds=1800) == 0.5
    assert cost(price, MILLION, MILLION, MILLION, 3600) == 11.5


def test_cached_tokens_cost_what_others_do_where_nothing_is_said_of_them() -> None:
    assert cost(PriceList(tokens_in=2.0), fresh=MILLION, cached=MILLION) == 4.0


def test_cached_tokens_may_be_free() -> None:
    assert cost(PriceList(tokens_in=2.0, tokens_cached=0.0), fresh=MILLION, cached=MILLION) == 2.0


def test_a_deployments_own_prices_go_before_those_for_all() -> None:
    prices = Prices(tokens_in=2.0, tokens_out=8.0, deployments={"chat": PriceList(tokens_out=0.0, slot_hour=1.0)})
    assert prices_of(prices, "chat") == PriceList(tokens_in=2.0, tokens_out=0.0, slot_hour=1.0)
    assert cost(prices_of(prices, "chat"), MILLION, 0, MILLION, 3600) == 3.0
    assert cost(prices_of(prices, "other"), MILLION, 0, MILLION, 3600) == 10.0


def test_prices_are_read_from_the_configuration() -> None:
    prices = "{currency: USD, tokens_in: 1, deployments: {demo: {slot_hour: 2}}}"
    usage = parse(f"server: {{usage: {{hours_days: 30, prices: {prices}}}}}\n" + GOOD, "gw.yaml", {}).server.usage
    assert (usage.hours_days, usage.prices.currency, usage.prices.tokens_in) == (30, "USD", 1.0)
    assert usage.prices.deployments["demo"].slot_hour == 2.0


@pytest.mark.parametrize("wrong", ["tokens_in: -1", "tokens_out: .nan", "slot_hour: .inf", "currency: euro", "x: 1"])
def test_a_price_that_is_none_is_refused_in_a_sentence(wrong: str) -> None:
    (line,) = errors_of(f"server:\n  usage:\n    prices: {{{wrong}}}\n" + GOOD)
    assert line.startswith("gw.yaml:3: server.usage.prices.")
