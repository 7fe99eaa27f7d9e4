"""What the pages' HTML refers to: kept by browsers for good, under a path that changes with it."""

import gzip
import re
from pathlib import Path

import pytest

from gateway.server.pages.assets import _ASSETS, assets_version
from tests.harness.pages.plain_browser import browsing
from tests.harness.pages.team_pages import Team, team_serving, window

KEPT = "public, max-age=31536000, immutable"
_ASKED = "() => performance.getEntriesByType('resource').filter((one) => one.transferSize > 0).map((one) => one.name)"


async def got(team: Team, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with browsing(team) as nobody, nobody.raw(path, **headers) as answer:
        return answer.status, dict(answer.headers), await answer.read()


async def test_a_page_refers_to_the_newest_only_below_where_a_proxy_serves_it(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team:
        for below in ("", "/llm"):
            _, _, page = await got(team, "/sign-in", **{"X-Forwarded-Prefix": below})
            found = re.findall(rb'(?:href|src)="([^"]*/assets/[^"]+)"', page)
            assert {path.rpartition(b"/")[0].decode() for path in found} == {f"{below}/assets/{assets_version()}"}


async def test_a_browser_keeps_the_newest_for_good_and_no_other(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team:
        for name in _ASSETS:
            newest = await got(team, f"/assets/{assets_version()}/{name}")
            assert (newest[0], newest[1]["Cache-Control"]) == (200, KEPT)
            other = await got(team, f"/assets/{'0' * 16}/{name}")
            assert (other[0], other[1]["Cache-Control"], other[2]) == (200, "no-cache", newest[2])
        for path in (
            "/assets/style.css",
            f"/assets/{assets_version()}/status.css",
            f"/assets/{assets_version()}/..%2fx",
        ):
            assert (await got(team, path))[0] == 404


async def test_who_takes_gzip_gets_the_same_packed(tmp_path: Path) -> None:
    async with team_serving(tmp_path) as team:
        path = f"/assets/{assets_version()}/htmx.js"
        _, plain, text = await got(team, path, **{"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain
        async with browsing(team) as nobody, nobody.raw(path, **{"Accept-Encoding": "br, gzip"}) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Vary"] == plain["Vary"] == "Accept-Encoding"
            assert int(answer.headers["Content-Length"]) == len(gzip.compress(text, mtime=0)) < len(text) / 2
            assert await answer.read() == text


async def test_a_file_that_is_missing_is_no_fault_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(_ASSETS, "gone.js", ("text/javascript", (("gateway.server.pages", "static/gone.js"),)))
    assets_version.cache_clear()
    async with team_serving(tmp_path) as team, browsing(team, await team.person("ada")) as ada:
        assert (await ada.get("/keys")).status == 500
    assert "database" not in caplog.messages[-1]
    assert "gone.js" in caplog.text


@pytest.mark.slow
async def test_the_second_page_of_a_browser_asks_for_nothing_beside_itself(tmp_path: Path) -> None:
    from tests.harness.pages.chromium import require_chromium, running_chromium

    require_chromium("that a browser keeps what pages refer to")
    async with team_serving(tmp_path) as team, running_chromium() as chromium:
        session = await team.person("ada")
        async with window(chromium, team, session, "/keys") as page:
            asked = await page.evaluate(_ASKED)
            assert sum(name.endswith(".css") for name in asked) == 1
            assert sum(name.endswith("htmx.js") for name in asked) == 1
            await page.goto(f"{team.url}/people")
            assert await page.evaluate(_ASKED) == []
