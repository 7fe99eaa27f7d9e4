"""Times as the pages' script says them (static/relative_times.js), for what is painted before it runs."""

from datetime import datetime

_MINUTE, _HOUR, _TWO_DAYS, _DAY = 60, 3600, 172800, 86400


def told(at: datetime, now: datetime, *, since: bool) -> str:
    """How long ago that is, or how soon it will be; with `since`, for how long something is so."""
    seconds = (now - at).total_seconds()
    if since:
        return f"for {_span(seconds)}"
    return f"in {_span(-seconds)}" if seconds < -1 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < _TWO_DAYS:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY)} days"
