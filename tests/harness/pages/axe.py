"""What axe-core finds wrong with a page for people who see, hear or move differently, and a picture of the page."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.harness.processes.foreign_packages import install

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
_AXE = "axe-core@4.14.1"
# WCAG 2.2, levels A and AA, each with what earlier versions had under their own names.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
_ASK = "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})"


async def violations(page: Page) -> list[str]:
    """One line for each element that breaks a rule. Skips the test where axe-core cannot be installed."""
    source = install("npm", [_AXE]) / "node_modules" / "axe-core" / "axe.min.js"
    await page.evaluate(source.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate(_ASK, _RULES)
    return [
        f"{broken['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for broken in found["violations"]
        for node in broken["nodes"]
    ]


async def photograph(page: Page, name: str) -> None:
    """Write a picture of all of the page to `build/screenshots/NAME.png`."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.evaluate("scrollTo(0, 0)")  # else what sticks to the window stands in the middle of the picture
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
