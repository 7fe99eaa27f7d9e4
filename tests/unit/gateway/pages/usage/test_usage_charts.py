"""What charts are made of: ticks that one reads, lengths of time, colours that are told apart from their ground."""

import re
from importlib.resources import files

import pytest

from gateway.server.pages.usage.charts import drawn
from gateway.server.pages.usage.series import Chart, Series, compact, percent, seconds, whole

STATIC = files("gateway.server.pages") / "static"


def chart(*series: tuple[float | None, ...], is_lines: bool = False, of: object = compact) -> Chart:
    named = tuple(Series(f"s{number}", values) for number, values in enumerate(series))
    times = tuple(f"{number:02}:00" for number in range(len(series[0])))
    return Chart("tokens", "Tokens", "all of them", times, named, of, whole, is_lines)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 s"), (0.0029, "2.9 ms"), (0.86, "860 ms"), (1.239, "1.24 s"), (119, "119 s"), (400, "6.67 min"),
     (14_220, "3.95 h"), (4_000_000, "1,111 h")],
)  # fmt: skip
def test_a_length_of_time_is_as_people_say_it(number: float, said: str) -> None:
    assert seconds(number) == said


def test_numbers_on_an_axis_are_short() -> None:
    assert [compact(one) for one in (0, 0.5, 950, 1_200, 3_000_000, 2e9)] == ["0", "0.5", "950", "1.2 k", "3 M", "2 G"]


@pytest.mark.parametrize(
    ("top", "of", "ticks"),
    [
        (450, compact, ["0", "200", "400", "600"]),
        (1, compact, ["0", "0.5", "1"]),
        (13 * 60, seconds, ["0 s", "5 min", "10 min", "15 min"]),
        (100_000, seconds, ["0 s", "8 h", "16 h", "24 h", "32 h"]),
        (0.86, seconds, ["0 s", "500 ms", "1 s"]),
        (97, percent, ["0 %", "50 %", "100 %"]),
        (1.9, percent, ["0 %", "1 %", "2 %"]),
    ],
)
def test_ticks_are_round_and_few(top: float, of: object, ticks: list[str]) -> None:
    found = chart((top, None), is_lines=True, of=of)
    assert [found.axis(one) for one in found.ticks()] == ticks


def test_a_stack_is_as_high_as_its_parts_together() -> None:
    assert chart((3, 1), (4, 1)).ticks()[-1] >= 7
    assert chart((3, 1), (4, 1), is_lines=True).ticks()[-1] == 4


def test_every_bar_says_what_it_is_and_a_gap_says_nothing() -> None:
    bars = drawn(chart((3, 0), (4, 1)))
    assert re.findall(r"<title>(.*?)</title>", bars) == ["s0, 00:00: 3", "s0, 01:00: 0", "s1, 00:00: 4", "s1, 01:00: 1"]
    dots = drawn(chart((3, None, 5), is_lines=True))
    assert re.findall(r"<title>(.*?)</title>", dots) == ["s0, 00:00: 3", "s0, 02:00: 5"]


def test_a_long_span_has_few_labels() -> None:
    labels = re.findall(r"<text [^>]*>(\d\d:00)</text>", drawn(chart(tuple(range(25)))))
    assert 5 <= len(labels) <= 7


def test_every_colour_stands_out_from_its_ground_in_both_schemes() -> None:
    colours = (STATIC / "usage.css").read_text(encoding="utf-8")
    status = (files("gateway.server.handlers") / "static" / "status.css").read_text(encoding="utf-8")
    for scheme in (0, 1):
        ground = re.findall(r"--surface: (#\w{6});", status)[scheme]
        found = re.findall(r"--c[\w-]+: (#\w{6});", re.findall(r":root \{ --c0.*?\}", colours)[scheme])
        assert len(found) == 9
        for colour in found:
            assert contrast(colour, ground) >= 3, (colour, ground)


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2.2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
