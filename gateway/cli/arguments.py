"""The kinds of argument that commands take, beyond click's own."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click

from gateway.config.setting_types import moment

_MOST = timedelta(days=3653)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}  # seconds

# Not `readable`: click would call a file that may not be read a wrong command line.
FILE = click.Path(path_type=Path, readable=False)


class MomentArgument(click.ParamType[datetime]):
    """A point in time with its zone, ISO 8601."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time in UTC; a usage error if it is not one."""
        try:
            return moment(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Span(click.ParamType[timedelta]):
    """A length of time: 90s, 30m, 24h, 7d, 2w, or 0."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The length; a usage error if it is not one, or more than ten years."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhdw])|0", str(value))
        seconds = int(found[1] or 0) * _UNITS[found[2] or "s"] if found else None
        if seconds is None or seconds > _MOST.total_seconds():
            self.fail("a duration is a number and a unit, like 90s, 30m, 24h, 7d or 2w, up to ten years", param, ctx)
        return timedelta(seconds=seconds)


class PastMoment(click.ParamType[datetime]):
    """A point in time, or how long ago it was: 7d, or 2026-11-01T00:00:00Z."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time; a usage error if it is neither."""
        if re.fullmatch("[0-9]+[a-z]?", str(value)):
            return datetime.now(UTC) - Span().convert(value, param, ctx)
        try:
            return moment(value)
        except ValueError as error:
            self.fail(f"{error}, or how long ago it was, like 7d", param, ctx)


def gateway_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A gateway's URL without a slash at its end; a usage error if it is none."""
    if value is None:
        return None
    try:
        parts = urlsplit(value.rstrip("/"))
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username is not None or parts.query or parts.fragment:
        raise click.BadParameter("must be a gateway's URL, like http://127.0.0.1:8080")
    return parts.geturl()
