"""The status page in a real browser: live, by keyboard, in both colour schemes, with hostile names."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, expect

from gateway.core.deployment import Deployment, Status
from gateway.registry.base import SourceProblem
from gateway.server.handlers import dashboard
from mockserver import MockLlamaServer
from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.pages.status_pages import HOSTILE, NOWHERE, Gateway, serving
from tests.harness.patience import PATIENCE

require_chromium("the status page")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

CLIPBOARD = ("clipboard-read", "clipboard-write")

PAUSED = Deployment("resting", "acme", NOWHERE, status=Status.PAUSED)
DEPLOYING = Deployment("coming", "acme", NOWHERE)
DOWN = Deployment("gone", "acme", NOWHERE, status=Status.READY)
PROBLEM = SourceProblem(("gateway.yaml:7: deployments.demo.upstream: an upstream begins with http:// or https://",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@asynccontextmanager
async def visiting(browser: Browser, gateway: Gateway, *, live: bool = True, **context: Any) -> AsyncIterator[Page]:
    """The page in a window of its own. Anything on its console, and any request elsewhere, fails the test."""
    complaints: list[str] = []
    elsewhere: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def note(request: Request) -> None:
        if not request.url.startswith(gateway.url + "/"):
            elsewhere.append(request.url)

    window = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    window.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page = await window.new_page()
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on("request", note)
    try:
        await page.goto(gateway.url)
        if live:
            await expect(page.locator("#link-text")).to_have_text("Live")
        yield page
    finally:
        await window.close()
    assert not elsewhere
    lost = (
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
    )  # what the browser says of a gateway that stopped
    assert not [text for text in complaints if not any(word in text for word in lost)]


async def test_a_change_of_status_shows_without_reloading_and_is_announced(browser: Browser) -> None:
    async with MockLlamaServer() as mock, serving([PAUSED]) as gateway, visiting(browser, gateway) as page:
        await page.evaluate("window.notReloaded = true")
        card = page.locator("#d-resting")
        await expect(card.locator(".state")).to_contain_text("Paused")
        gateway.registry.say(Deployment("resting", "acme", mock.url))
        await expect(card.locator(".state")).to_contain_text("Ready")
        await expect(card.locator(".health")).to_have_text("ok")
        await expect(page.locator("#said")).to_contain_text("resting: Ready")
        await expect(page).to_have_title("The deployment is up · gguf-gateway")
        await mock.set_state("deploying", load_seconds=None)
        await expect(card.locator(".health")).to_have_text("loading")
        await expect(card.locator(".state")).to_contain_text("Ready, but loading")
        assert await page.evaluate("window.notReloaded")


async def test_deployments_problems_and_refusals_come_and_go_while_one_watches(browser: Browser) -> None:
    async with serving() as gateway, visiting(browser, gateway) as page:
        await expect(page.locator("#deployments")).to_contain_text("gguf-gateway deployments add")
        gateway.registry.say(PAUSED, DOWN, problem=PROBLEM)
        await expect(page.locator(".card")).to_have_count(2)
        await expect(page.get_by_role("alert")).to_contain_text("gateway.yaml:7: deployments.demo.upstream")
        await page.request.get(f"{gateway.url}/nowhere")
        await expect(page.locator(".row").first).to_contain_text("no_such_path")
        gateway.registry.say(DOWN)
        await expect(page.locator(".card h3")).to_have_text(["gone"])
        gateway.registry.say(PAUSED, DOWN, DEPLOYING)
        await expect(page.locator(".card h3")).to_have_text(["coming", "gone", "resting"])
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_focus_selection_and_an_opened_command_survive_updates(browser: Browser) -> None:
    async with serving([PAUSED, DOWN]) as gateway, visiting(browser, gateway) as page:
        await page.locator("#d-resting summary").press("Enter")
        await page.locator("#d-resting .copy").last.focus()
        selected = await page.evaluate(
            """() => { const range = document.createRange();
                range.selectNodeContents(document.querySelector("#d-gone code"));
                getSelection().removeAllRanges(); getSelection().addRange(range); return String(getSelection()); }"""
        )
        earlier = Deployment("earlier", "acme", NOWHERE, status=Status.PAUSED)
        resumed = Deployment("resting", "acme", NOWHERE, status=Status.DEPLOYING)
        gateway.registry.say(earlier, resumed, DOWN)  # a card before them, and a change in the focused one
        await expect(page.locator("#d-resting .state")).to_contain_text("Deploying")
        await expect(page.locator(".card h3")).to_have_text(["earlier", "gone", "resting"])
        gateway.registry.say(resumed, DOWN)
        await expect(page.locator(".card")).to_have_count(2)
        await expect(page.locator("#d-resting .copy").last).to_be_focused()
        await expect(page.locator("#d-resting details")).to_have_attribute("open", "")
        assert await page.evaluate("String(getSelection())") == selected == f"{gateway.url}/api/gguf/gone/v1"


async def test_updates_do_not_make_the_layout_jump(browser: Browser) -> None:
    async with MockLlamaServer() as mock:
        demo = Deployment("demo", "acme", mock.url)
        async with serving([demo, PAUSED]) as gateway, visiting(browser, gateway) as page:
            where = "() => [...document.querySelectorAll('h1, h2, .card, .calls')].map((e) => e.offsetTop)"
            before = await page.evaluate(where)
            await mock.set_state("deploying", load_seconds=None)
            await expect(page.locator("#d-demo .state")).to_contain_text("Ready, but loading")
            gateway.registry.say(Deployment("demo", "acme", mock.url, status=Status.PAUSED), PAUSED)
            await expect(page.locator("#d-demo .state")).to_contain_text("Paused")
            assert await page.evaluate(where) == before


async def test_times_are_relative_and_keep_counting(browser: Browser) -> None:
    async with serving([DOWN]) as gateway, visiting(browser, gateway) as page:
        time = page.locator("#d-gone time")
        await expect(time).to_have_text(re.compile(r"for \d s"))
        await page.evaluate("() => { const now = Date.now; Date.now = () => now() + 200_000; }")
        await expect(time).to_have_text("for 3 min")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", await time.get_attribute("datetime") or "")
        await expect(time).to_have_attribute("title", re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))


async def test_it_says_when_the_connection_is_lost_and_comes_back_by_itself(browser: Browser) -> None:
    async with serving([PAUSED]) as gateway, visiting(browser, gateway) as page:
        await gateway.stop()
        await expect(page.locator("#link-text")).to_have_text("Connection lost, trying again")
        gateway.registry.say(PAUSED, DOWN)
        await gateway.start()
        await expect(page.locator("#link-text")).to_have_text("Live")
        await expect(page.locator(".card")).to_have_count(2)


async def test_a_copy_button_puts_the_base_url_on_the_clipboard_and_says_so(browser: Browser) -> None:
    async with serving([PAUSED]) as gateway, visiting(browser, gateway, permissions=CLIPBOARD) as page:
        for number, text in enumerate([f"{gateway.url}/api/gguf/resting/v1", f"{gateway.url}/api/gguf/resting"]):
            button = page.locator(".copy").nth(number)
            await button.click()
            await expect(button.locator(".done")).to_be_visible()
            await expect(page.locator("#said")).to_contain_text("Copied the base URL of resting")
            assert await page.evaluate("navigator.clipboard.readText()") == text


async def test_copying_works_without_the_clipboard_of_secure_pages(browser: Browser) -> None:
    async with serving([PAUSED]) as gateway, visiting(browser, gateway, permissions=CLIPBOARD) as page:
        await page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
        button = page.locator(".copy").first
        await button.click()
        await expect(page.locator("#said")).to_contain_text("Copied")
        await expect(button).to_be_focused()
        assert await page.evaluate("navigator.clipboard.readText()") == f"{gateway.url}/api/gguf/resting/v1"


async def test_everything_is_reached_and_done_by_keyboard(browser: Browser) -> None:
    async with serving([PAUSED]) as gateway, visiting(browser, gateway, permissions=CLIPBOARD) as page:
        reached = []
        for _ in range(5):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.innerText.split('\\n')[0]"))
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached == ["Refused", "Copy", "Copy", "Command", "Copy"]
        await page.keyboard.press("Enter")
        await expect(page.locator("#said")).to_contain_text("Copied a curl command")
        assert "curl -N" in await page.evaluate("navigator.clipboard.readText()")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("#d-resting pre")).to_be_visible()


async def test_hostile_names_are_inert_text(browser: Browser) -> None:
    names = [name for name in HOSTILE if "\x00" not in name]  # HTML has no way to write these bytes
    async with serving([PAUSED]) as gateway, visiting(browser, gateway) as page:
        gateway.registry.say(*(Deployment(name, name, NOWHERE) for name in names), problem=SourceProblem(tuple(names)))
        await expect(page.locator(".card")).to_have_count(len(names))
        await page.reload()
        assert await page.locator(".card h3").all_inner_texts() == sorted(names)
        assert await page.locator("[role=alert] li").all_inner_texts() == names
        assert await page.locator("main img, main script, main [onload], main [onerror], main [onfocus]").count() == 0


async def test_no_width_needs_scrolling_sideways(browser: Browser) -> None:
    long = Deployment("x" * 64, "y" * 64, "http://" + "z" * 60 + ".invalid", status=Status.READY)
    outside = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth)"
    async with serving([PAUSED, DOWN, long]) as gateway:
        gateway.registry.say(PAUSED, DOWN, long, problem=SourceProblem(("/" + "p" * 200 + ":1: " + "f" * 200,)))
        async with visiting(browser, gateway) as page:
            await page.request.get(f"{gateway.url}/nowhere")
            await expect(page.locator(".row")).to_have_count(1)
            await page.locator("summary").first.click()
            for width in (360, 540, 768, 1000, 1440, 1600):
                await page.set_viewport_size({"width": width, "height": 800})
                assert await page.evaluate("document.documentElement.scrollWidth") == width
                assert await page.evaluate(f"{outside}.map((e) => e.className)") == []


@pytest.mark.parametrize("script", [True, False], ids=["live", "snapshot"])
@pytest.mark.parametrize("worker", ["", "64 of 64"], ids=["alone", "one of many"])
async def test_the_figures_fit_a_small_screen_and_stand_in_rows(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, worker: str, script: bool
) -> None:
    monkeypatch.setattr(dashboard, "_worker", lambda _crew: worker)
    tops = "[...document.querySelectorAll('.figures dd')].map((e) => e.offsetTop)"
    async with (
        serving([PAUSED]) as gateway,
        visiting(browser, gateway, live=script, java_script_enabled=script) as page,
    ):
        if script:
            await page.evaluate("() => { const now = Date.now; Date.now = () => now() + 59 * 60_000; }")
            await expect(page.locator("#summary time")).to_have_text("59 min ago")
            await page.evaluate("document.getElementById('under-way').textContent = '16384'")
        for width in (360, 420, 540, 560, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") == width
            *whole_rows, _last = Counter(await page.evaluate(tops)).values()
            assert all(number > 1 for number in whole_rows), whole_rows


async def test_without_script_the_page_is_a_readable_snapshot(browser: Browser) -> None:
    async with serving([PAUSED]) as gateway, visiting(browser, gateway, live=False, java_script_enabled=False) as page:
        await expect(page.locator("#link-text")).to_have_text(re.compile(r"As of .* UTC, reload for newer"))
        await expect(page.locator("#d-resting .state")).to_contain_text("Paused")
        await expect(page.locator("#summary time")).to_have_text(re.compile(r"\d\d \w{3} [\d:]{8} UTC"))
        await expect(page.locator(".copy").first).to_be_hidden()
        await page.locator("summary").first.click()
        await expect(page.locator("pre")).to_contain_text("curl -N")


# All text of the page with its colour and the first opaque ground beneath it.
TEXTS = """() => [...document.querySelectorAll("body *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.checkVisibility())
    .filter((e) => !e.closest(".unseen, .copy .done"))
    .map((e) => {
        let under = e;
        while (getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
        return [e.textContent.trim().slice(0, 40), getComputedStyle(e).color, getComputedStyle(under).backgroundColor];
    })"""


async def test_all_text_has_the_contrast_of_wcag_aa_in_light_and_in_dark(browser: Browser) -> None:
    async with MockLlamaServer() as mock:
        deployments = [Deployment("demo", "acme", mock.url), PAUSED, DEPLOYING, DOWN]
        async with serving(deployments) as gateway, visiting(browser, gateway, reduced_motion="reduce") as page:
            gateway.registry.say(*deployments, problem=PROBLEM)
            await page.request.get(f"{gateway.url}/nowhere")
            await expect(page.locator(".row")).to_have_count(1)
            await page.locator("summary").first.click()
            await assert_readable(page, "Ready", "Paused", "Deploying", "Ready, but unreachable", "Copy", "Live")
            await gateway.stop()
            await expect(page.locator("#link")).to_have_attribute("data-link", "lost")
            await assert_readable(page, "Connection lost, trying again")


async def assert_readable(page: Page, *words: str) -> None:
    """All text stands out from its ground by 4.5:1 in both schemes; `words` are among it."""
    grounds = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        texts = await page.evaluate(TEXTS)
        assert set(words) <= {text for text, _, _ in texts}
        assert not [row for row in texts if contrast(row[1], row[2]) < 4.5]
        grounds.append(luminance(await page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert grounds[0] > 0.8
    assert grounds[1] < 0.05


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two CSS colours."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of an opaque `rgb(r, g, b)`."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
    assert len(parts) == 3, colour
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_nothing_moves_for_those_who_asked_for_less_motion(browser: Browser) -> None:
    async with serving([DEPLOYING]) as gateway, visiting(browser, gateway) as page:
        await page.emulate_media(reduced_motion="no-preference")
        assert await page.evaluate("document.getAnimations().length") == 1
        await page.emulate_media(reduced_motion="reduce")
        assert await page.evaluate("document.getAnimations().length") == 0
