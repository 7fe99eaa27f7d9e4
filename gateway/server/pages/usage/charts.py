"""Charts as SVG that the page's own style colours: pygal draws, and what our policy forbids is taken out.

pygal brings a style and a script inside of the picture, for one that stands alone. Here colours follow the page's
scheme, and what a bar says is its `<title>` (docs/develop/decisions/0033-charts.md).
"""

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, tostring

import pygal
from markupsafe import Markup
from pygal.etree import etree

from gateway.server.pages.usage.series import Chart

if TYPE_CHECKING:
    from pygal.graph.graph import Graph

# It hangs a finder of the old kind into every later import of this process, which warns about it.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
etree.to_etree()  # the standard library's, also where lxml is installed

_WIDTH, _HEIGHT = 560, 220
_KEPT = 64  # drawings
_LABELS = 7  # on the axis of time, at most
_DECIMALS = re.compile(r"(\d+\.\d)\d+")
_SCRIPTED = {"defs", "desc", "title"}
_FURNITURE = {"text-overlay", "tooltip-overlay"}


@lru_cache(_KEPT)
def drawn(chart: Chart) -> Markup:
    """The chart as an element for a page. What it shows is in a table beside it, and so its label is short.

    It takes some 40 ms of CPU: not for the thread that serves requests.
    """
    graph = (_lines if chart.is_lines else _bars)(chart)
    every = -(-len(chart.times) // _LABELS)
    graph.x_labels = [label if index % every == 0 else "" for index, label in enumerate(chart.times)]
    for series in chart.series:
        graph.add(series.name, [None if value is None else float(value) for value in series.values])
    picture: Element = graph.render_tree()
    _tidy(picture, chart)
    return Markup(_DECIMALS.sub(r"\1", tostring(picture, encoding="unicode")))  # noqa: S704  pygal has escaped it


def _bars(chart: Chart) -> "Graph":
    return pygal.StackedBar(**_options(chart), rounded_bars=1, spacing=4)


def _lines(chart: Chart) -> "Graph":
    return pygal.Line(**_options(chart), dots_size=3)


def _options(chart: Chart) -> dict[str, Any]:
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "margin": 4,
        "js": (),
        "show_legend": False,
        "include_x_axis": True,
        "truncate_label": -1,
        "y_labels": chart.ticks(),
        "formatter": chart.axis,
        "value_formatter": chart.axis,
        "no_data_text": "",
    }


def _tidy(picture: Element, chart: Chart) -> None:
    """Leave what is drawn, told apart by classes, each bar and dot with what it says."""
    _strip(picture)
    picture.attrib |= {"class": "chart", "role": "img", "aria-label": f"{chart.title}: {chart.says}"}
    for number, series in enumerate(chart.series):
        groups = [one for one in picture.iter("g") if f"serie-{number}" in one.get("class", "").split()]
        if series.is_others:
            for group in groups:
                group.set("class", f"serie-{number} others")
        marks = [one for group in groups for one in group.iter() if one.tag in {"rect", "circle"}]
        told = [text for text, value in zip(chart.said(series), series.values, strict=True) if value is not None]
        for mark, text in zip(marks, told, strict=True):
            SubElement(mark, "title").text = text
    labels = [one for one in picture.iterfind(".//g[@class='axis x']/g/text") if one.text]
    for label in labels[1::2]:
        label.set("class", "second")  # left out where the window is narrow


def _strip(picture: Element) -> None:
    """Take out styles and scripts, and what is there for a script."""
    picture.attrib.pop("id", None)
    for parent in list(picture.iter()):
        for child in list(parent):
            classes = set(child.get("class", "").split())
            if not isinstance(child.tag, str) or child.tag in _SCRIPTED or classes & _FURNITURE:
                parent.remove(child)
            child.attrib.pop("style", None)
