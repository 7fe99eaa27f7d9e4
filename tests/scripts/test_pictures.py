"""`make pictures` takes each page, in light and in dark; `make first-paint` opens each, the first time and again."""

import struct
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.tools
@pytest.mark.timeout(300)
def test_each_page_is_taken_in_light_and_dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("tests.harness.pages.chromium").require_chromium("make pictures")
    pictures = import_module("scripts.pictures")
    monkeypatch.setattr(pictures, "PICTURES", tmp_path)
    monkeypatch.setattr(pictures, "_TEAMWORK_SECONDS", 5.0)
    pictures.main()
    taken = {place.stem: place.read_bytes() for place in tmp_path.glob("*.png")}
    assert set(taken) == {f"{name}-{scheme}" for name in pictures.PAGES for scheme in pictures.SCHEMES}
    assert {struct.unpack(">II", data[16:24]) for data in taken.values()} == {(1280, 800)}  # as PNG says it
    assert all(taken[f"{name}-light"] != taken[f"{name}-dark"] for name in pictures.PAGES)


@pytest.mark.tools
@pytest.mark.timeout(300)
def test_the_paint_of_each_page_is_measured_in_each_way() -> None:
    chromium = import_module("tests.harness.pages.chromium")
    chromium.require_chromium("make first-paint")
    painting, playwright = import_module("scripts.painting.first_paint"), import_module("playwright.sync_api")
    with painting.serving() as site, playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium._CHROMIUM, args=painting._OPTIONS)
        found = painting.measured(browser, site, 1)
        browser.close()
    assert len(found) == 1 + len(painting.PAGES) + len(painting.LINKS)
    assert all(found[path].keys() == {"cold", "warm", "within"} for path in painting.PAGES)
    assert all(0 < one["first_byte"] < one["paint"] for ways in found.values() for [one] in ways.values())
