"""`make first-paint`: how soon a browser paints the team's pages, on loopback, and what it waits for until then.

Each page is opened by a new browser profile (cold) and again by the same (warm), by turns, in a tab that shows another
site; then in one that shows another page of ours (within). Times are Chromium's own (Navigation Timing, Paint Timing),
in milliseconds from the beginning of the navigation. An empty page of a bare server says how much of that is Chromium's
and the machine's.

Then the links in the bar are clicked, each for the first time in a new profile and again: from click to paint.

From another site Chromium changes to another renderer process for any page, and the empty page pays for it as well.
From a blank tab it would change for ours alone, for their `Cross-Origin-Opener-Policy`: that counted some 50 ms more,
which were not the page's.
"""

import asyncio
import json
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import click
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from rich.console import Console
from rich.table import Table

from gateway.cli.client.local_client import open_database
from gateway.team.actor import Face, Way
from gateway.team.models.accounts import NewAccount
from gateway.team.models.deployments import NewDeployment
from gateway.team.models.keys import NewKey
from gateway.team.operations.people import add_person
from gateway.team.signing_in.session_limits import SessionLimits
from gateway.team.signing_in.sessions import begin_session
from scripts.benchmark.process import GATEWAY, Process
from scripts.painting.chromium import chromium
from scripts.painting.clicks import LINKS, clicked

PAGES = ("/deployments", "/deployments/model-1", "/keys", "/usage", "/people", "/playground", "/sign-in", "/")
_COOKIE = "gateway_session"
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_NOTHING = b'<!doctype html><html lang="en"><title>empty</title><p>Nothing.'
_NO_PAGE = "(an empty page)"
_SEEN = """() => new Promise((resolve) => {
  const seen = (paint) => {
    const [navigation] = performance.getEntriesByType("navigation");
    const files = performance.getEntriesByType("resource");
    resolve({
      first_byte: navigation.responseStart,
      paint,
      requests: files.filter((one) => one.transferSize > 0 && one.startTime < paint).length,
      bytes: files.reduce((sum, one) => sum + one.transferSize, navigation.transferSize),
    });
  };
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (one.name === "first-contentful-paint") seen(one.startTime);
  }).observe({ type: "paint", buffered: true });
})"""


@dataclass(frozen=True)
class Site:
    """A gateway that serves its pages, the session of an admin, and an empty page, under two names: so of two sites."""

    url: str
    session: str
    empty: str
    elsewhere: str

    def addresses(self) -> dict[str, str]:
        """What is opened, by what it is called."""
        return {_NO_PAGE: self.empty, **{path: self.url + path for path in PAGES}}

    def neighbour(self, name: str) -> str:
        """Another page of the same site, which the same browser may see."""
        if name == _NO_PAGE:
            return self.empty
        return self.url + {"/sign-in": "/", "/": "/sign-in"}.get(name, "/me")


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_NOTHING)))
        self.end_headers()
        self.wfile.write(_NOTHING)

    def log_message(self, *_: object) -> None:
        pass


class _Bare(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: Chromium opens connections that it does not use."""


@contextmanager
def serving() -> Iterator[Site]:
    """A gateway with a database of a small team."""
    with (
        tempfile.TemporaryDirectory(prefix="gguf-paint-") as name,
        _Bare(("127.0.0.1", 0), _Empty) as bare,
    ):
        threading.Thread(target=bare.serve_forever, daemon=True).start()
        folder = Path(name)
        session = asyncio.run(_fill(folder / "gateway.db"))
        config = folder / "gateway.yaml"
        config.write_text("server: {port: 0, log: {format: json}}\ndatabase: sqlite+aiosqlite:///gateway.db\n")
        config.chmod(0o600)
        process = Process((GATEWAY, "serve", "--config", str(config)), folder / "log")
        try:
            port = process.wait_for(r"serving on http://127\.0\.0\.1:(\d+)", within=60)
            empty, elsewhere = (f"http://{name}:{bare.server_port}/" for name in ("127.0.0.1", "localhost"))
            yield Site(f"http://127.0.0.1:{port}", session, empty, elsewhere)
        finally:
            process.stop()
            bare.shutdown()


async def _fill(place: Path) -> str:
    """Accounts, deployments, keys and an admin; the admin's session."""
    async with open_database(place, create=True) as client:
        await client.perform("accounts.create", request=NewAccount(id="acme"))
        for number in range(1, 6):
            new = {"id": f"model-{number}", "account": "acme", "upstream": f"http://127.0.0.1:{number}"}
            await client.perform("deployments.create", request=NewDeployment.model_validate(new))
            await client.perform("keys.create", request=NewKey(account="acme", name=f"key {number}"))
        async with client.database.change(client.actor) as unit:
            await add_person(unit, "per_1", (), name="ada", role="admin", enabled=True)
            return await begin_session(unit.connection, "per_1", Way(Face.PAGE), SessionLimits())


def look(context: BrowserContext, url: str, before: str) -> dict[str, float]:
    """Open a page in a new tab that showed another one `before`: what was seen of it."""
    page = context.new_page()
    page.goto(before)
    page.evaluate(_SEEN)
    page.goto(url)
    seen: dict[str, float] = page.evaluate(_SEEN)
    page.close()
    return seen


def context_of(browser: Browser, site: Site, name: str) -> BrowserContext:
    """A new profile, signed in where the page is for those who are."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    if name not in {"/sign-in", "/", _NO_PAGE}:
        context.add_cookies([{"name": _COOKIE, "value": site.session, "url": site.url}])
    return context


def measured(browser: Browser, site: Site, times: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """What was seen of each page, cold, warm and within, so many times each, by turns."""
    addresses = site.addresses()
    names = (*addresses, *(f"click on {path}" for path in LINKS))
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: defaultdict(list) for name in names}
    for _ in range(times):
        for name in addresses:
            context = context_of(browser, site, name)
            befores = {"cold": site.elsewhere, "warm": site.elsewhere, "within": site.neighbour(name)}
            for which, before in befores.items():
                found[name][which].append(look(context, addresses[name], before))
            context.close()
        context = context_of(browser, site, "/me")
        for path, which, seen in clicked(context, site.url):
            found[f"click on {path}"][which].append(seen)
        context.close()
    return found


@click.command()
@click.option("--times", type=click.IntRange(1), default=10, show_default=True, help="How often each page is opened.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was measured, for a program.")
def main(times: int, as_json: bool) -> None:
    """Measure how soon each page is painted (four minutes)."""
    program = chromium()
    if program is None:
        raise click.ClickException("Chromium is not installed (apt-get install chromium)")
    with serving() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        measured(browser, site, 1)  # the first of all loads the modules, and Chromium's own
        found = measured(browser, site, times)
        browser.close()
    if as_json:
        print(json.dumps(found))
        return
    head = ("page", "", "first byte, ms", "first paint, ms", "least - most", "requests before", "KiB")
    table = Table(*head, box=None, header_style="bold")
    for name, ways in found.items():
        for which, seen in ways.items():
            table.add_row(name, which, *_row(seen))
    Console(width=120).print(table)


def _row(seen: list[dict[str, Any]]) -> Iterator[str]:
    paints = [one["paint"] for one in seen]
    yield f"{median(one['first_byte'] for one in seen):.0f}"
    yield f"{median(paints):.0f}"
    yield f"{min(paints):.0f} - {max(paints):.0f}"
    yield f"{median(one['requests'] for one in seen):.0f}"
    yield f"{median(one['bytes'] for one in seen) / 1024:.0f}"


if __name__ == "__main__":
    main()
