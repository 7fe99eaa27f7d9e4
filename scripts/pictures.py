"""`make pictures`: the documents' pictures of the team's pages, of a sandbox on which a small team works.

Each is taken in light and in dark, `docs/pictures/NAME-light.png` and `NAME-dark.png`; the documents show the one that
suits who reads. What the team used in a minute is put into the hours of a day before, so that the charts have a shape.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# By name, the page that is shown, and what has to be there first.
PAGES = {
    "deployments": ("/deployments", "main"),
    "usage": ("/usage", ".charts svg"),
    "activity": ("/activity", "#live table"),
    "playground": ("/playground?deployment=demo", "#code"),
}
# How much of what was used in the last minute was used in each hour before, the newest first.
_DAY = (9, 14, 11, 16, 7, 12, 15, 10, 6, 2, 1, 0, 0, 0, 1, 0, 2, 3, 5, 8, 13, 12, 10)
_TEAMWORK_SECONDS = 40.0  # in which the team makes the figures that the pages show
_PATIENCE = 30_000  # milliseconds
_QUESTION = "Why do gateways stream?"


def main() -> None:
    """Take all of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("make pictures: needs Chromium (apt-get install chromium)")
    PICTURES.mkdir(exist_ok=True)
    with serving_sandbox() as served, sync_playwright() as playwright:
        print(f"A team works on {served['url']} for {_TEAMWORK_SECONDS:.0f} s ...", flush=True)
        time.sleep(_TEAMWORK_SECONDS)
        fill_the_day(Path(served["config"]).with_name("gateway.db"))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless=new", "--no-sandbox"])
        take_all(browser, served)
        browser.close()


@contextmanager
def serving_sandbox() -> Iterator[dict[str, Any]]:
    """A sandbox with its traffic, for as long as the block lasts: what it says of itself."""
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", "0", "--traffic", "--json", "--stop-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            line = process.stdout.readline() if process.stdout is not None else b""
            if not line:
                sys.exit("make pictures: the sandbox did not start; `make run` says why")
            yield json.loads(line)
        finally:
            if process.stdin is not None:
                process.stdin.close()


def fill_the_day(database: Path) -> None:
    """Put what was used in the last minute into the hours before, now more and now less of it."""
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        cursor = connection.execute("SELECT * FROM usage_hours")
        names = [column[0] for column in cursor.description]
        used = [dict(zip(names, row, strict=True)) for row in cursor]
        places = ", ".join(f":{name}" for name in names)
        for back, often in enumerate(_DAY, 1):
            rows = [_earlier(row, back, often) for number, row in enumerate(used) if (number + back) % 5]
            connection.executemany(f"INSERT INTO usage_hours ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608


def _earlier(row: dict[str, Any], back: int, often: int) -> dict[str, Any]:
    """A row of usage, so many hours earlier, and so many times as much."""
    hour = datetime.fromisoformat(row["hour"]) - timedelta(hours=back)
    more = {name: value * often for name, value in row.items() if isinstance(value, int | float)}
    return {**row, **more, "hour": hour.strftime("%Y-%m-%d %H:%M:%S.%f")}


def take_all(browser: Browser, served: dict[str, Any]) -> None:
    """Sign in by the sandbox's link, once, and take each page in each scheme."""
    first = browser.new_context()
    first.new_page().goto(served["sign_in_url"])
    signed_in = first.storage_state()
    first.close()
    for scheme in SCHEMES:
        context = browser.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme=scheme, storage_state=signed_in
        )
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        for name, (path, shown) in PAGES.items():
            page.goto(served["url"] + path)
            page.locator(shown).first.wait_for()
            if name == "playground":
                chat(page)
            place = PICTURES / f"{name}-{scheme}.png"
            page.screenshot(path=place)
            print(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)
        context.close()


def chat(page: Page) -> None:
    """Ask something, and wait for the end of the answer."""
    page.get_by_role("textbox", name="Message").fill(_QUESTION)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Send").and_(page.locator(":enabled")).wait_for()


if __name__ == "__main__":
    main()
