"""Where this machine's Chromium is."""

import shutil


def chromium() -> str | None:
    """The path of its program, by whichever name it has; None if it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
