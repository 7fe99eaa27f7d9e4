"""From what was used to what the page shows of it: charts over time, and what subjects are called."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.server.pages.usage.choices import SUBJECTS
from gateway.server.pages.usage.series import Chart, Series, compact, percent, seconds, whole
from gateway.team.models.usage import Latency, LatencyReport, LatencyRow, UsageReport, UsageRow

OTHERS = "all others"
TITLES = {
    "tokens": "Tokens",
    "requests": "Requests",
    "waiting": "Waiting in line",
    "cache": "Found in the cache",
    "first-byte": "Time to the first byte",
    "line": "Time in line",
}
_PERCENTILES = ("p50", "p95", "p99")
_LATENCIES = {
    Latency.FIRST_BYTE: ("first-byte", "how long half, 95 % and 99 % of the answers took"),
    Latency.QUEUE: ("line", "how long half, 95 % and 99 % of the requests waited for their place"),
}


def name_of(row: UsageRow, by: str) -> str:
    """What people call what a row is of."""
    if row.is_others:
        return OTHERS
    match by:
        case "key":
            return row.key_name or row.key or "unknown key"
        case "person":
            return row.person_name or row.person or "nobody in particular"
    return str(getattr(row, by))


def usage_charts(report: UsageReport, time: str, by: str) -> list[Chart]:
    """Of rows for each subject at each time: tokens, requests and waiting, by subject; and the share of the cache."""
    moments = _moments(report.since, report.until, time, ZoneInfo(report.time_zone))
    labels = tuple(moments.values())
    subjects = _subjects(report.rows, by)
    whom = f"by {SUBJECTS[by].lower()}"
    spread = f"over {len(labels)} {time}s"

    def stacked(id_: str, of: Callable[[UsageRow], float], axis: Callable[[float], str]) -> Chart:
        series = []
        for (name, is_others), rows in subjects.items():
            at: defaultdict[object, float] = defaultdict(float)
            for row in rows:
                at[_at(row)] += of(row)
            series.append(Series(name, tuple(at[moment] for moment in moments), is_others))
        total = sum(of(row) for row in report.rows)
        exact = whole if axis is compact else axis
        return Chart(id_, TITLES[id_], f"{exact(total)} {spread}, {whom}", labels, tuple(series), axis, exact)

    return [
        stacked("tokens", lambda row: row.tokens_in + row.tokens_out, compact),
        stacked("requests", lambda row: row.requests, compact),
        stacked("waiting", lambda row: row.queue_seconds, seconds),
        _cache_chart(report, moments, spread),
    ]


def latency_charts(report: LatencyReport, time: str) -> list[Chart]:
    """Percentiles over time."""
    moments = _moments(report.since, report.until, time, ZoneInfo(report.time_zone))
    charts = []
    for measure, (id_, says) in _LATENCIES.items():
        found = {_at(row): row for row in report.rows if row.measure is measure}
        series = tuple(
            Series(name, tuple(getattr(found[one], name) if one in found else None for one in moments))
            for name in _PERCENTILES
        )
        charts.append(Chart(id_, TITLES[id_], says, tuple(moments.values()), series, seconds, seconds, is_lines=True))
    return charts


def _cache_chart(report: UsageReport, moments: Mapping[object, str], spread: str) -> Chart:
    cached: defaultdict[object, int] = defaultdict(int)
    read: defaultdict[object, int] = defaultdict(int)
    for row in report.rows:
        cached[_at(row)] += row.tokens_cached
        read[_at(row)] += row.tokens_in
    shares = tuple(100 * cached[one] / read[one] if read[one] else None for one in moments)
    total = report.total
    says = f"{percent(100 * total.tokens_cached / total.tokens_in) if total.tokens_in else 'nothing'} {spread}"
    series = (Series("of the tokens read", shares),)
    labels = tuple(moments.values())
    return Chart("cache", TITLES["cache"], says, labels, series, percent, percent, is_lines=True)


def _subjects(rows: Sequence[UsageRow], by: str) -> dict[tuple[str, bool], list[UsageRow]]:
    """The rows of each, who used most first, and all others last. Two that are called alike are one in a chart."""
    found: defaultdict[tuple[str, bool], list[UsageRow]] = defaultdict(list)
    for row in rows:
        found[name_of(row, by), row.is_others].append(row)
    order = sorted(found, key=lambda one: (one[1], -sum(row.tokens_in + row.tokens_out for row in found[one])))
    return {one: found[one] for one in order}


def _at(row: UsageRow | LatencyRow) -> object:
    return row.hour or row.day


def _moments(since: datetime, until: datetime, time: str, zone: ZoneInfo) -> dict[object, str]:
    """Every hour or day of the span as rows name it, and as the page does."""
    found: dict[object, str] = {}
    if time == "day":
        day, last = since.astimezone(zone).date(), (until - timedelta(microseconds=1)).astimezone(zone).date()
        while day <= last:
            found[day.isoformat()] = f"{day:%d %b}"
            day += timedelta(days=1)
        return found
    hour = since
    while hour < until:
        local = hour.astimezone(zone)
        found[hour] = f"{local:%d %b}" if local.hour == 0 else f"{local:%H:%M}"
        hour += timedelta(hours=1)
    return found
