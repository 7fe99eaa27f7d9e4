"""Which tests of the suite are run, in which order, and how that is shown."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scripts.conforming.running import Runner

# What the mock does not play at all. Passing one of these would be an accident; what each does: not_passed.txt.
NOT_RUN = ("kv_keep_only_active", "lora", "mcp_servers", "speculative", "systemone", "tools_builtin", "vision_api")
# It takes longest: started last, it would make the whole run wait.
FIRST = "unit/test_stream.py"


def is_wanted(test: str, names: Sequence[str] = ()) -> bool:
    """Whether a test is run: it is one of those named, or of a module that the mock plays."""
    if names:
        return any(test == name or test.startswith((f"{name}::", f"{name}[")) for name in names)
    return _module(test).removeprefix("unit/test_").removesuffix(".py") not in NOT_RUN


def modules(tests: Sequence[str]) -> list[str]:
    """The modules of tests, in the order in which they are begun."""
    return sorted({_module(test) for test in tests}, key=lambda module: (module != FIRST, module))


def run_shown(runner: Runner, names: Sequence[str], count: int, workers: int) -> dict[str, str]:
    """Outcomes by name of a test, with a bar on a terminal."""
    console = Console()
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Tests run", total=count)
        return runner.run(names, workers, lambda: progress.advance(bar))


def _module(test: str) -> str:
    return test.partition("::")[0]
