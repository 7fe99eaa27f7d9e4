"""What is added up of stored rows, whatever numbers a database makes of sums."""

from decimal import Decimal
from typing import Any

from gateway.core.usage_sums import SUMS
from gateway.usage.stored_usage import Added


def test_a_database_that_sums_up_to_decimals_makes_no_difference() -> None:
    stored: Any = {name: 1.5 if name.endswith("seconds") else Decimal(3) for name in SUMS} | {"ending": "finished"}
    added = Added()
    for _ in range(2):
        added.add(stored, 0.5)
    assert {name: type(value) for name, value in added.sums.items()} == {
        name: float if name.endswith("seconds") else int for name in SUMS
    }
    assert added.sums["first_byte_seconds"] / added.sums["answered"] == 0.5
    assert (added.endings["finished"], added.cost) == (6, 1.0)
