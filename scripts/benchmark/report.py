"""What people read: a table on the terminal, a page, a picture. All three come from the Record and nothing else."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from scripts.benchmark.figures import Spread
from scripts.benchmark.record import ADDED, KINDS, Demand, Record, demands

_TARGETS = ("direct", "nginx", "bare", "gateway")
_TITLES = ("direct", "nginx", "bare relay", "gateway")
_SHORT = ("nginx", "the bare relay")
_TIMES = ("times nginx", "times the bare relay")

_METHOD = """
`make bench` starts a backend (a bare `asyncio.Protocol`, which does as little as possible), and in front of it nginx, a
bare relay and `gguf-gateway serve`, and drives them in turn in one run, so that other load on the machine hits all of
them. It takes about a quarter of an hour; `make bench-quick` takes a minute and a half, and writes nothing here.

- **The gateway has everything on**: keys and deployments in a database, ownership and readiness checked, request ids,
  a JSON log line for each request, usage noted, metrics, limits. nginx has nothing on: one process,
  `proxy_buffering off`, connections to the backend kept, no log.
- **The bare relay** (`scripts/benchmark/bare_relay.py`) is the floor in Python, on the same interpreter: an
  `asyncio.Protocol` with httptools on both sides, uvloop, a key looked up, and nothing else. It moves with the host as
  the gateway does; a figure in microseconds says more about the host.
- **CPU** is the difference between two readings of the measured processes' CPU clocks (`clock_getcpuclockid`), divided
  by the requests or events carried between them. They take turns of a second or less (about three
  seconds at 6,400 events/s): other load on the machine's host changes within seconds. **Added** figures are those of a
  target less those of the backend asked directly in the same round. The median is reported, with the lowest and highest
  in brackets.
- **A start** is that of an installed gateway, whose bytecode is compiled: without that it takes several times as long.
  It is kept on no core: one process reads the configuration while another imports what serves.
- **Plain requests** (about 100 bytes up, 1 KB of JSON down) are driven by {tool}: each connection asks again as soon
  as it is answered. The latency at many connections is that of a saturated gateway; at one it is the bare cost.
- **Streams** are read by an asyncio client of our own. Each event states when the backend wrote it, and each stream
  holds its own SHA-256: a single wrong byte is counted as a failure. Every event is written by itself, and its cost
  includes its share of the stream's begin and end. That is measured in three ways. The demand is judged on streams that
  begin together, as those of a load generator with 32 connections do, at a rate at which nginx's cost per event is the
  same (11–13 µs) as where the demands come from. Streams that begin one after the other find the caches cold each time,
  which costs Python more than C. At the lower rate all processes sleep between any two events, and much of what is
  measured is how they are woken.
- {pinning}
"""


_CAPTION = """
Median of the rounds (lowest – highest). Idle processes, many streams, slow readers and 10 MB bodies are measured
once. `+` marks what is added to asking the backend directly.
""".strip()
_APART = """
CPU per event is judged on streams that begin together. When they begin one after the other, it is {:.2f} times nginx's.
""".strip()
_IMPORTS = """
`import gateway` takes hardly any time because the package's `__init__` imports nothing. All that serving imports takes
{:.2f} s, which is included in the start.
""".strip()


def print_table(record: Record, console: Console) -> None:
    """Figures and demands, on the terminal."""
    table = Table("figure", *_TITLES, *_TIMES, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in _rows(record, _terse):
        table.add_row(*row)
    console.print(table)
    for demand in demands(record):
        colour = {"reached": "green", "not reached": "red"}.get(demand.verdict, "yellow")
        console.print(f"[{colour}]{demand.verdict:<12}[/] {_in_words(demand)}", highlight=False, soft_wrap=True)
    for failure in record.failures:
        console.print(f"[red]failed[/]       {failure}", highlight=False, soft_wrap=True)


def page(records: Sequence[Record], scale: str = "") -> str:
    """The page in Markdown: the newest run in full, and the last of each other host or interpreter in short.

    `scale` is the section that `make bench-scale` measured.
    """
    record = records[0]
    pinned = record.method["pinned"]
    method = _METHOD.format(tool=record.method["tool"], pinning=pinned).strip()
    parts = [
        "# Performance",
        "<!-- Written by `make bench` from performance.json: do not edit. -->",
        f"Measured on {record.machine['date']} in one run of `make bench`. What is demanded, and what came out:",
        _markdown(("demanded", "limit", "measured", "verdict"), map(_cells, demands(record))),
        *_notes(record),
        "![Figures of the gateway as multiples of nginx's in the same run](performance.svg)",
        "## Figures",
        _CAPTION,
        _markdown(("figure", *_TITLES, *_TIMES), _rows(record, _full)),
        *(["What failed:", "\n".join(f"- {failure}" for failure in record.failures)] if record.failures else []),
        *([scale] if scale else []),
        "## Method",
        method,
        "## Machine",
        _markdown(("what", "which"), record.machine.items()),
        *_other_hosts(records[1:]),
    ]
    return "\n\n".join(parts) + "\n"


def _notes(record: Record) -> Iterator[str]:
    """What belongs beside two of the demands, where it was measured."""
    apart, loaded = record.ratio("event_cpu_apart", "nginx"), record.spread("import_all", "gateway")
    if apart is not None:
        yield _APART.format(apart)
    if loaded is not None:
        yield _IMPORTS.format(loaded.median)


def _other_hosts(records: Sequence[Record]) -> Iterator[str]:
    """The multiples of the last run with each host and interpreter but the newest's, and their idle memory."""
    if not records:
        return
    yield "## Other hosts and interpreters"
    yield "The last run with each. Multiples compare them better than microseconds do. Memory is an idle gateway's."
    multiples = (f"{what}, times {who}" for what in ("request", "event") for who in _SHORT)
    head = ("date", "host", "interpreter", *multiples, "memory, MB", "with a database, MB")
    yield _markdown(head, (_other_host(record) for record in records))


def _other_host(record: Record) -> tuple[str, ...]:
    said = record.machine
    ratios = [record.ratio(figure, other) for figure in ("request_cpu", "event_cpu") for other in ("nginx", "bare")]
    interpreter = f"Python {said['Python']}, {said.get('built', 'unknown how it was built')}"
    multiples = ("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
    memory = (record.spread(figure, "gateway") for figure in ("idle_memory_yaml", "idle_memory"))
    idle = ("–" if spread is None else f"{spread.median:.1f}" for spread in memory)
    return (said["date"], said["processor"], interpreter, *multiples, *idle)


def picture(record: Record) -> str:
    """The picture as SVG."""
    import pygal
    from pygal.style import Style

    # It hangs a finder of the old kind into every later import of this process, which warns about it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

    names = [name for name in ("request_cpu", "event_cpu") if record.ratio(name, "nginx") is not None]
    style = Style(
        background="white",
        plot_background="white",
        colors=("#9aa5b1", "#64748b", "#2563eb", "#f59e0b"),
        font_family="sans-serif",
        label_font_size=15,
        major_label_font_size=15,
        legend_font_size=15,
        title_font_size=18,
        value_font_size=15,
    )
    chart = pygal.HorizontalBar(
        js=[], style=style, print_values=True, show_y_guides=True, legend_at_bottom=True, height=360, width=900
    )
    chart.title = "CPU time, as a multiple of nginx's in the same run"
    chart.value_formatter = lambda value: f"{value:.2f}"
    chart.x_labels = [KINDS[name].label for name in names]
    limits = {"request_cpu": 4.0, "event_cpu": 1.5}
    chart.add("nginx", [1.0 for _ in names])
    bare = [(record.ratio(name, "nginx") or 0.0) / (record.ratio(name, "bare") or 1.0) for name in names]
    if all(record.ratio(name, "bare") is not None for name in names):
        chart.add("bare relay", [round(value, 3) for value in bare])
    chart.add("gateway", [round(record.ratio(name, "nginx") or 0.0, 3) for name in names])
    chart.add("demanded at most", [limits[name] for name in names])
    svg: str = chart.render(is_unicode=True)
    return svg


# --- cells


def _rows(record: Record, form: Callable[[Spread, int], str]) -> Iterator[tuple[str, ...]]:
    for name, kind in KINDS.items():
        if name not in record.values:
            continue
        cells = []
        for target in _TARGETS:
            is_added = name in ADDED and target != "direct"
            spread = record.added(name, target) if is_added else record.spread(name, target)
            sign = "+" if is_added and spread is not None and spread.median >= 0 else ""
            cells.append("–" if spread is None else sign + form(spread, kind.digits))
        ratios = [record.ratio(name, other) for other in ("nginx", "bare")]
        unit = f", {kind.unit}" if kind.unit else ""
        yield (kind.label + unit, *cells, *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios))


def _terse(spread: Spread, digits: int) -> str:
    return f"{spread.median:,.{digits}f}"


def _full(spread: Spread, digits: int) -> str:
    low, high = f"{spread.low:,.{digits}f}", f"{spread.high:,.{digits}f}"
    return _terse(spread, digits) + (f" ({low} – {high})" if low != high else "")


def _in_words(demand: Demand) -> str:
    seen = "–" if demand.seen is None else f"{round(demand.seen, 2):g}"
    return f"{demand.text}: {seen}, demanded {demand.bound}"


def _cells(demand: Demand) -> tuple[str, ...]:
    seen = "–" if demand.seen is None else f"{round(demand.seen, 2):g}"
    return demand.text, demand.bound, seen, demand.verdict


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
