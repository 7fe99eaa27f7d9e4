"""Usage as comma-separated values, for a spreadsheet (RFC 4180)."""

import csv
import io
from collections.abc import Sequence

from gateway.team.models.usage import UsageRow, UsageSums

# What tells rows apart stands first.
COLUMNS = (*(name for name in UsageRow.model_fields if name not in UsageSums.model_fields), *UsageSums.model_fields)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(rows: Sequence[UsageRow]) -> str:
    """The rows below a line of their columns. `endings` is a cell like `finished=12 refused=1`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        endings = " ".join(f"{name}={number}" for name, number in row.endings.items())
        cells = row.model_dump(mode="json") | {"endings": endings}
        writer.writerow({name: _inert(value) for name, value in cells.items()})
    return text.getvalue().rstrip("\n")


def _inert(value: object) -> object:
    """A name that a spreadsheet would run as a formula gets an apostrophe, as OWASP advises."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
