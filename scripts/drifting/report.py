"""The page that `make drift` writes. Its last column is for people: why a cause is left as it is."""

from collections.abc import Iterator
from pathlib import Path

from scripts.conforming.counting import Count
from scripts.drifting.causes import Cause
from scripts.drifting.playing import Tally

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "drift.md"
_REASONS = " | "
_LONGEST = 240
_HEAD = """# How far the mock is from the real one

Written by `make drift`, but for the last column under "What differs", which is kept. Both servers are started alike
and asked the same: requests out of a seed, half of them with something wrong, and the recorded ones of
`tests/recordings/`. Alike means: status, headers, keys and their order, types, events, error texts, and all values but
those that the model, time or chance decide. What the model decides also shows in other ways, which are counted as
alike if the answers prove it (`scripts/drifting/choices.py`), and listed below. What the modes are:
`scripts/drifting/servers.py`.

"""
_TESTS = "## llama.cpp's own tests\n\n"
_DIFFERS = "## What differs\n\n"
_CHOSEN = "## What the model decides\n\n"


def written(tally: Tally, about: str, tests: str = "", page: Path = PAGE) -> str:
    """The text of the page, with the reasons that the old one has, and, without new ones, the tests that it has."""
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    tests = tests or old.partition(_TESTS)[2].partition(_DIFFERS)[0].strip() or "Not run."
    differs = _causes([cause for cause in tally.causes if not cause.difference.choice], dict(_reasons(old)))
    chosen = _causes([cause for cause in tally.causes if cause.difference.choice], {})
    return f"{_HEAD}{about}\n\n## Alike\n\n{_rates(tally)}\n{_TESTS}{tests}\n\n{_DIFFERS}{differs}\n{_CHOSEN}{chosen}"


def tests_told(count: Count, about: str) -> str:
    """What llama.cpp's tests say: counts, and each that only the real server passes with the reason why."""
    rows = [
        ("are run", count.run),
        ("pass on the real server, with this model whichever a test asks for", len(count.passed)),
        ("pass on it and on the mock", count.by_both),
        ("pass on the mock: `make conformance`", len(count.known.expected)),
    ]
    table = ["| tests | of llama.cpp |", "| ---: | --- |", *(f"| {number} | {what} |" for what, number in rows)]
    only = [f"- `{_cell(name)}`: {count.known.reasons.get(name, 'no reason is known')}" for name in count.only_there]
    told = ["Only the real server passes:", "", *only] if only else ["Whatever the real server passes, the mock does."]
    return "\n".join([about, "", *table, "", *told])


def share(tally: Tally, mode: str) -> str:
    """`987 of 1,000, 98.7 %, 9 of them but for the model`."""
    alike, asked, chosen = (counts[mode].total() for counts in (tally.alike, tally.asked, tally.chosen))
    told = f", {chosen} of them but for the model" if chosen else ""
    return f"{alike:,} of {asked:,}, {100 * alike / max(asked, 1):.1f} %{told}"


def _rates(tally: Tally) -> str:
    rows = ["| mode | family | alike | of | but for the model |", "| --- | --- | --- | --- | --- |"]
    for mode, asked in tally.asked.items():
        alike, chosen = tally.alike[mode], tally.chosen[mode]
        rows.append(f"| **{mode}** | all | **{alike.total():,}** | {asked.total():,} | {chosen.total()} |")
        rows += [f"| {mode} | {name} | {alike[name]:,} | {asked[name]:,} | {chosen[name]} |" for name in sorted(asked)]
    return "".join(f"{row}\n" for row in rows)


def _causes(causes: list[Cause], reasons: dict[str, str]) -> str:
    if not causes:
        return "Nothing.\n"
    rows = ["| hits | smallest request | real | mock | why |", "| --- | --- | --- | --- | --- |"]
    for cause in causes:
        found = cause.difference
        cells = [f"`{_cell(_asked(cause))}`", f"{_cell(found.where)}: {_cell(found.real)}", _cell(found.mock)]
        rows.append(_line([str(cause.hits), *cells, found.choice or reasons.get(_key(cells), "")]))
    return "".join(f"{row}\n" for row in rows)


def _asked(cause: Cause) -> str:
    request = cause.request
    if request.raw:
        return request.raw.decode("latin-1")
    odd = [f"{name}: {value}" for name, value in request.headers if name != "Content-Type"]
    body = (request.body or b"").decode("utf-8", "backslashreplace")
    return " ".join([request.method, request.path, *odd, body]).strip()


def _cell(text: str) -> str:
    """One line that breaks no table."""
    line = " ".join(text.split()).replace("|", "¦").replace("`", "'").replace("<", "‹").replace("\0", "␀")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _line(cells: list[str]) -> str:
    return f"| {_REASONS.join(cells)} |"


def _key(cells: list[str]) -> str:
    """What a reason belongs to: the difference, whichever request showed it."""
    return _REASONS.join(cells[1:])


def _reasons(page: str) -> Iterator[tuple[str, str]]:
    for line in page.splitlines():
        cells = line.removeprefix("| ").removesuffix(" |").split(_REASONS)
        if len(cells) == 5 and cells[0].isdigit():
            yield _key(cells[1:4]), cells[4].strip()
