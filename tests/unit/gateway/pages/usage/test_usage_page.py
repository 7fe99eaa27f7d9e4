"""The page of usage, as a browser asks for it: what it shows of rows that are there, and to whom."""

import csv
import io
import json
import re
import threading
from asyncio import to_thread
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.server.pages.usage import overview
from gateway.team.models.keys import NewKey
from gateway.team.models.usage import UsageRow
from gateway.team.usage_csv import as_csv
from tests.harness.pages.plain_browser import Browser, browsing
from tests.harness.pages.team_pages import Team, team_serving
from tests.harness.storage.usage_rows import took, used

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with team_serving(tmp_path, "acme", "beta") as team:
        yield team


@pytest.fixture
async def ada(team: Team) -> AsyncIterator[Browser]:
    async with browsing(team, await team.person("ada")) as browser:
        yield browser


async def page(browser: Browser, query: str = "") -> str:
    answer = await browser.get(f"/usage?{query}")
    assert answer.status == 200, answer.text
    return answer.text


async def test_where_nothing_was_used_it_says_what_will_be_here(ada: Browser) -> None:
    html = await page(ada)
    assert "Nothing was used in this time." in html
    assert 'href="/usage?span=30d&by=key"' in html
    assert "hx-get" not in html


async def test_all_together_and_each_key_are_told(team: Team, ada: Browser, place: Path) -> None:
    key = await team.do("keys.create", asked=NewKey(account="acme", name="laptop"))
    await to_thread(used, place, NOW, key=key.id, requests=1500, tokens=(4000, 1000, 200))
    await to_thread(used, place, NOW, key=key.id, ending="client_left")
    html = await page(ada)
    assert re.search(r"<dt>requests</dt><dd>1,501</dd>", html)
    assert re.search(r'data-label="Key"><b><bdi>laptop</bdi></b><span class="sub">of <bdi>acme</bdi>', html)
    assert re.search(r'data-label="In the cache">25 %<', html)
    assert re.search(r'data-label="Not finished">1<', html)
    assert '<svg class="chart"' not in html
    assert 'hx-trigger="load"' in html


async def test_the_charts_follow_and_say_the_same_as_their_tables(ada: Browser, place: Path) -> None:
    await to_thread(used, place, NOW, key="key_a", tokens=(700, 70, 7))
    await to_thread(used, place, NOW - HOUR, key="key_b", tokens=(300, 30, 3), seconds=(4.0, 1.0, 1.0, 1.0))
    await to_thread(took, place, NOW, "first_byte", {5: 3})
    html = await page(ada, "part=charts")
    assert len(re.findall('<svg [^>]*class="chart" [^>]*role="img"', html)) == 5
    assert html.count("Nothing is known of this time.") == 1
    hour = f"{NOW:%H}:00" if NOW.hour else f"{NOW:%d %b}"
    assert f"<title>key_a, {hour}: 707</title>" in html
    assert re.search(rf'<th scope="row">{hour}</th><td>707</td><td>0</td>', html)
    assert 'aria-label="Tokens: 1,010 over 25 hours, by key"' in html
    assert "by key</p>" in html
    assert "<html" not in html


async def test_the_live_part_is_all_that_may_change_and_no_news_is_short(ada: Browser, place: Path) -> None:
    assert 'data-live="/usage?span=24h&by=key&part=live" data-every="15"' in await page(ada)
    assert "Nothing was used in this time." in await page(ada, "part=live")
    await to_thread(used, place, NOW, key="key_a", tokens=(700, 70, 7))
    html = await page(ada, "part=live")
    assert html.startswith('<div id="live">')
    assert '<svg class="chart"' in html.replace('xmlns="http://www.w3.org/2000/svg" ', "")
    assert "<dt>requests</dt><dd>1</dd>" in html
    assert "<form" not in html
    async with ada.raw("/usage?part=live") as first:
        etag = first.headers["ETag"]
    async with ada.raw("/usage?part=live", **{"If-None-Match": etag}) as again:
        assert (again.status, await again.read()) == (304, b"")
    await to_thread(used, place, NOW, key="key_a")
    async with ada.raw("/usage?part=live", **{"If-None-Match": etag}) as news:
        assert news.status == 200
        assert "<dt>requests</dt><dd>2</dd>" in await news.text()


async def test_what_is_drawn_brings_no_style_and_no_script(ada: Browser, place: Path) -> None:
    await to_thread(used, place, NOW, key="<script>alert(1)</script>")
    for query in ("charts=drawn", "part=charts"):
        async with ada.raw(f"/usage?{query}") as answer:
            text = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        charts = "".join(re.findall(r'<svg [^>]*class="chart".*?</svg>', text, re.DOTALL))
        assert "&lt;script&gt;alert(1)" in charts
        assert not re.search(r"<style|<script|style=|url\(|javascript", charts)
        assert "unsafe" not in policy


async def test_days_are_bars_where_the_span_is_long(ada: Browser, place: Path) -> None:
    await to_thread(used, place, NOW - 5 * DAY)
    assert "Nothing was used" in await page(ada, "span=24h")
    html = await page(ada, "span=7d&by=deployment&part=charts")
    assert f"<title>demo, {NOW - 5 * DAY:%d %b}: 15</title>" in html
    assert "over 7 days, by deployment" in html
    custom = f"span=custom&from={NOW - 6 * DAY:%Y-%m-%d}&to={NOW - 5 * DAY:%Y-%m-%d}"
    html = await page(ada, custom)
    assert "<dt>requests</dt><dd>1</dd>" in html
    assert f"Who used how much, from {NOW - 6 * DAY:%d %b %Y} to {NOW - 5 * DAY:%d %b %Y}." in html
    html = await page(ada, f"span=custom&from={NOW:%Y-%m-%d}&to={NOW:%Y-%m-%d}")
    assert "Nothing was used" in html
    assert f"Who used how much, on {NOW:%d %b %Y}." in html


async def test_of_days_whose_hours_are_gone_the_bars_are_days(tmp_path: Path, place: Path) -> None:
    async with (
        team_serving(tmp_path, "acme", usage={"hours_days": 3}) as team,
        browsing(team, await team.person("ada")) as ada,
    ):
        await to_thread(used, place, NOW - 9 * DAY)
        day = f"{NOW - 9 * DAY:%Y-%m-%d}"
        html = await page(ada, f"span=custom&from={day}&to={day}&part=charts")
        assert f"<title>key_a, {NOW - 9 * DAY:%d %b}: 15</title>" in html
        assert "Nobody had to wait." in html


async def test_the_sums_are_of_the_same_days_as_the_bars(ada: Browser, place: Path) -> None:
    first = (NOW - 6 * DAY).replace(hour=0, minute=0)
    await to_thread(used, place, first, requests=5)
    await to_thread(used, place, first - HOUR, requests=50)
    assert "<dt>requests</dt><dd>5</dd>" in await page(ada, "span=7d")
    assert 'aria-label="Requests: 5 over 7 days, by key"' in await page(ada, "span=7d&part=charts")


@pytest.mark.slow
@pytest.mark.parametrize("query", ["from=yesterday", "from=0001-01-01", "to=9999-12-31", "from=2020-01-01"])
async def test_days_that_cannot_be_shown_are_told(ada: Browser, query: str) -> None:
    answer = await ada.get(f"/usage?span=custom&{query}")
    assert answer.status == 422
    assert "day" in answer.text


async def test_the_download_is_what_is_shown(ada: Browser, place: Path) -> None:
    for number in range(12):
        await to_thread(used, place, NOW, key=f"key_{number}", tokens=(100 - number, 0, 0))
    table = list(csv.DictReader(io.StringIO((await ada.get("/usage.csv?by=key")).text)))
    assert [row["key"] for row in table] == [f"key_{number}" for number in range(12)]
    bars = json.loads((await ada.get("/usage.json?by=key&rows=times")).text)
    assert [row["key"] for row in bars["rows"]] == [*(f"key_{number}" for number in range(8)), None]
    assert bars["rows"][-1]["requests"] == 4
    async with ada.raw("/usage.csv") as answer:
        name = re.fullmatch(
            r'attachment; filename="usage-[\d-]{10}-[\d-]{10}\.csv"', answer.headers["Content-Disposition"]
        )
        assert name is not None


async def test_a_download_is_written_beside_the_event_loop(ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def noted(rows: Sequence[UsageRow]) -> str:
        threads.append(threading.current_thread())
        return as_csv(rows)

    monkeypatch.setattr(overview, "as_csv", noted)
    assert (await ada.get("/usage.csv")).status == 200
    assert [thread is threading.current_thread() for thread in threads] == [False]


async def test_what_is_missing_is_said_and_a_price_makes_a_column(tmp_path: Path, place: Path) -> None:
    prices = {"prices": {"tokens_in": 1_000_000, "currency": "CHF"}}
    async with team_serving(tmp_path, "acme", usage=prices) as team, browsing(team, await team.person("ada")) as ada:
        await to_thread(used, place, NOW, key="")
        html = await page(ada)
        assert "In 1 hour, the last of them at" in html
        assert "<bdi>unknown key</bdi>" in html
        assert re.search(r"<dt>cost</dt><dd>10.00 CHF</dd>", html)


async def test_a_member_sees_their_own_alone(team: Team, place: Path) -> None:
    session = await team.person("mia", "member", ["acme"])
    person = (await team.do("people.list")).items[0].id
    await to_thread(used, place, NOW, key="key_m", person=person)
    await to_thread(used, place, NOW, key="key_other", requests=50)
    async with browsing(team, session) as mia, browsing(team) as nobody:
        for path in ("/usage", "/usage?part=charts", "/usage?part=live", "/usage.csv", "/usage.json?rows=times"):
            text = (await mia.get(path)).text
            assert "key_other" not in text
        assert "What was used with your keys" in await page(mia)
        assert "<dt>requests</dt><dd>1</dd>" in await page(mia)
        for path in ("/usage", "/usage.csv", "/usage.json"):
            assert (await nobody.get(path)).location.startswith("/sign-in")
