"""How soon a page is painted after a click on its link in the bar of another page: most are opened so."""

from collections.abc import Iterator

from playwright.sync_api import BrowserContext, Page

LINKS = ("/deployments", "/activity", "/usage", "/keys", "/limits", "/playground", "/people", "/audit")
# When something was painted last: a page that htmx has put in place of another (a frame later), or a new document.
_WATCH = """
  const painted = (at) => (window.painted = performance.timeOrigin + at);
  document.addEventListener("htmx:afterSwap", () => requestAnimationFrame(() => {
    const next = new MessageChannel();
    next.port1.onmessage = () => painted(performance.now());
    next.port2.postMessage(null);
  }));
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (one.name === "first-contentful-paint") painted(one.startTime);
  }).observe({ type: "paint", buffered: true });
"""
_CLICK = """(path) => {
  const link = [...document.querySelectorAll(".nav a")].find((one) => one.pathname === path);
  setTimeout(() => link.click());
  return performance.timeOrigin + performance.now();
}"""
_SEEN = """([path, began]) => {
  if (location.pathname !== path || !(window.painted > began)) return null;
  const after = (time) => performance.timeOrigin + time - began;
  const paint = window.painted - began;
  const entries = ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type));
  const asked = entries.filter((one) => after(one.startTime) >= 0 && after(one.startTime) < paint);
  return {
    first_byte: after(Math.min(...asked.map((one) => one.responseStart))),
    paint,
    requests: asked.filter((one) => one.transferSize > 0).length - 1,
    bytes: asked.reduce((sum, one) => sum + one.transferSize, 0),
  };
}"""


def clicked(context: BrowserContext, url: str) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Click each link, and each again: its path, whether this was the first time (cold), and what was seen."""
    context.add_init_script(_WATCH)
    page = context.new_page()
    page.goto(f"{url}/me")
    for which in ("cold", "warm"):
        for path in LINKS:
            yield path, which, _click(page, path)
    page.close()


def _click(page: Page, path: str) -> dict[str, float]:
    began = page.evaluate(_CLICK, path)
    seen: dict[str, float] = page.wait_for_function(_SEEN, arg=[path, began]).json_value()
    return seen
