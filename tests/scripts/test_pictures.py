"""`make pictures`: each page, in light and in dark."""

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
