"""What a command says while it works."""

import time
from collections.abc import Callable

from rich.console import Console


def with_elapsed_time(console: Console) -> Callable[[str], None]:
    """Prints lines, each behind the seconds since now."""
    begun = time.monotonic()
    return lambda text: console.print(f"[dim]{time.monotonic() - begun:4.0f} s[/]  {text}")
