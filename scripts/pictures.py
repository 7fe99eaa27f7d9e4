"""`make pictures`: the documents' pictures of the team's pages, of a sandbox on which a small team works.

Each is taken in light and in dark, `docs/pictures/NAME-light.png` and `NAME-dark.png`; the documents show the one that
suits who reads.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.painting.chromium import chromium

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# By name, the page that is shown, and what has to be there first.
PAGES = {
    "deployments": ("/deployments", "main"),
    "usage": ("/usage?span=7d", ".charts svg"),
    "activity": ("/activity", '#live button:has-text("To the front")'),
    "playground": ("/playground?deployment=demo", "#code"),
}
_TEAMWORK_SECONDS = 40.0  # in which the team makes the figures that the pages show
_PATIENCE = 90_000  # milliseconds: the team's script rests for up to 56 s, and nobody is in line then
_QUESTION = "Why do gateways stream?"


def main() -> None:
    """Take all of them."""
    program = chromium()
    if program is None:
        sys.exit("make pictures: needs Chromium (apt-get install chromium)")
    PICTURES.mkdir(exist_ok=True)
    with serving_sandbox() as served, sync_playwright() as playwright:
        print(f"A team works on {served['url']} for {_TEAMWORK_SECONDS:.0f} s ...", flush=True)
        time.sleep(_TEAMWORK_SECONDS)
        browser = playwright.chromium.launch(executable_path=program, args=["--headless=new", "--no-sandbox"])
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
