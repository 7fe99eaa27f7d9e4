"""Where the system chooses the colours (forced-colors), what a ground alone would say is still seen."""

import asyncio
import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from gateway.team.models.keys import NewKey
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.team_pages import team_serving, window
from tests.harness.storage.usage_rows import used

require_chromium("colours that the system chooses")

pytestmark = pytest.mark.slow

# The colour in the middle of a picture's left edge. Styles do not say which colour the system puts in their place.
_COLOUR = """async data => {
    const picture = await createImageBitmap(await (await fetch("data:image/png;base64," + data)).blob());
    const drawn = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    drawn.drawImage(picture, 0, 0);
    return [...drawn.getImageData(4, picture.height / 2, 1, 1).data].join();
}"""


async def colours(blank: Page, these: Locator) -> set[str]:
    """What the left edge of each of these looks like."""
    pictures = [base64.b64encode(await one.screenshot()).decode() for one in await these.all()]
    return {await blank.evaluate(_COLOUR, picture) for picture in pictures}


@pytest.mark.parametrize("dark", [False, True])
async def test_where_one_is_is_seen_in_colours_of_the_system(tmp_path: Path, dark: bool) -> None:
    async with team_serving(tmp_path, "acme") as team, running_chromium() as chromium:
        ada, blank, now = await team.person("ada"), await chromium.new_page(), datetime.now(UTC)
        for name in ("laptop", "phone"):
            key = (await team.do("keys.create", asked=NewKey(account="acme", name=name))).id
            await asyncio.to_thread(used, tmp_path / "gateway.db", now, key=key, requests=1, tokens=(9, 0, 9))
        async with window(chromium, team, ada, "/usage", dark=dark, forced_colors="active") as page:
            for links in (".nav", ".tabs"):
                here = await colours(blank, page.locator(f"{links} a[aria-current]"))
                others = await colours(blank, page.locator(f"{links} a:not([aria-current])"))
                assert (links, len(here), len(others), here & others) == (links, 1, 1, set())
            await expect(page.locator(".legend").first.locator("li")).to_have_count(2)
            assert len(await colours(blank, page.locator(".legend").first.locator("li"))) == 2
