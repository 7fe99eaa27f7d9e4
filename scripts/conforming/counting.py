"""The suite against the real llama-server: what that passes with its one model, beside what is expected of the mock."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from gateway.cli.sandbox.real_server import RealServer
from scripts.conforming import lists
from scripts.conforming.lists import Known
from scripts.conforming.running import REAL_SECONDS, Runner, log_path, real_path
from scripts.conforming.selection import is_wanted, modules, run_shown
from scripts.conforming.suite import environment, fetch


@dataclass(frozen=True, slots=True)
class Count:
    """How many tests were run, which of them the real server passed, and what is known of the mock."""

    run: int
    passed: Set[str]
    known: Known

    @property
    def by_both(self) -> int:
        """How many of those that it passed the mock passes, too."""
        return len(self.passed & self.known.expected)

    @property
    def only_there(self) -> list[str]:
        """Tests that the real server passes and the mock is not expected to."""
        return sorted(self.passed - self.known.expected)


def count_real(real: RealServer, workers: int, names: Sequence[str] = ()) -> Count:
    """Run the suite, or the tests named, against the real server. Raises SuiteError."""
    suite = fetch()
    runner = Runner(suite, environment(suite), real_path(real), REAL_SECONDS)
    collected = runner.collect()
    wanted = [name for name in collected if is_wanted(name, names)]
    print(f"Running {len(wanted)} of llama.cpp's {len(collected)} tests, {workers} at a time ...", flush=True)
    log_path().unlink(missing_ok=True)
    outcomes = run_shown(runner, names or modules(wanted), len(wanted), workers)
    return Count(len(wanted), lists.passed(outcomes), lists.load())
