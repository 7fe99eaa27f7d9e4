"""`make conformance`: llama.cpp's own server tests, unmodified, against the mock, compared with what is known of each.

Exit status 1 and a sentence: a test that is expected to pass did not, or nothing is said of one that does not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.sandbox.mock_process import SandboxError
from gateway.cli.sandbox.real_server import find_real_server
from scripts.command.own_process import end_in_order_at_sigterm
from scripts.conforming import lists
from scripts.conforming.counting import count_real
from scripts.conforming.running import Runner, log_path, mock_path
from scripts.conforming.selection import is_wanted, modules, run_shown
from scripts.conforming.suite import SuiteError, environment, fetch

_FEW = 20  # tests that are worth another try


@click.command()
@click.argument("names", nargs=-1)
@click.option("--update", is_flag=True, help="Move what passes to the list of what is expected to.")
@click.option("--promised", is_flag=True, help="Run only what is expected to pass, as CI does: quicker.")
@click.option("--real", is_flag=True, help="Run them against the llama-server of `make real`, and count what passes.")
@click.option("--workers", type=click.IntRange(min=1), default=3, show_default=True, help="Tests at a time.")
def main(names: Sequence[str], *, update: bool, promised: bool, real: bool, workers: int) -> None:
    """Run all of the suite, or the tests named as pytest wants them (unit/test_basic.py)."""
    end_in_order_at_sigterm()
    try:
        wrong = _count_real(names, workers) if real else _conform(names, update, promised, workers)
    except (SandboxError, SuiteError, ValueError) as error:
        sys.exit(f"conformance: {error}")
    for sentence in wrong:
        print(f"  {sentence}")
    sys.exit(1 if wrong else 0)


def _conform(names: Sequence[str], update: bool, promised: bool, workers: int) -> list[str]:
    """Run it against the mock; what is wrong, in sentences."""
    known = lists.load()
    runner = _runner(mock_path())
    collected = runner.collect()
    wanted = [name for name in collected if is_wanted(name, names) and (name in known.expected or not promised)]
    if not wanted:
        raise SuiteError(f"no test of the suite is named {' or '.join(names)}")
    outcomes = _run_all(runner, wanted if promised else names or modules(wanted), wanted, len(collected), workers)
    missing = known.missing(outcomes, wanted)
    if 0 < len(missing) <= _FEW:
        print(f"Again, one at a time: {len(missing)} that did not pass beside others ...", flush=True)
        outcomes |= run_shown(runner, missing, len(missing), 1)
        missing = known.missing(outcomes, wanted)
    new = known.new(outcomes)
    print(f"{len(lists.passed(outcomes))} of {len(outcomes)} passed, {len(missing)} missing. Log: {log_path()}")
    for name in new:
        print(f"  {'moved' if update else 'passes, though not_passed.txt says it does not'}: {name}")
    if update:
        known.move(new)
        lists.store(known)
    elif new:
        print("  `python -m scripts.conformance --update` moves what passes to expected_pass.txt.")
    gaps = known.gaps(collected)
    print(_count(known, collected, gaps))
    return [*(f"no longer passes: {name}" for name in missing), *gaps]


def _count_real(names: Sequence[str], workers: int) -> list[str]:
    """Run it against the real llama-server; the tests that it passes and the mock is not expected to."""
    count = count_real(find_real_server(), workers, names)
    passed = len(count.passed)
    print(f"A real llama-server passes {passed} of {count.run}, the mock {count.by_both} of these. Log: {log_path()}")
    return [f"passes there, not here: {name}" for name in count.only_there]


def _runner(binary: Path) -> Runner:
    suite = fetch()
    return Runner(suite, environment(suite), binary)


def _run_all(
    runner: Runner, names: Sequence[str], wanted: Sequence[str], collected: int, workers: int
) -> dict[str, str]:
    print(f"Running {len(wanted)} tests of {collected}, {workers} at a time ...", flush=True)
    log_path().unlink(missing_ok=True)
    return run_shown(runner, names, len(wanted), workers)


def _count(known: lists.Known, collected: Sequence[str], gaps: Sequence[str]) -> str:
    """One line about both lists together."""
    kept_out = sum(not is_wanted(test) for test in collected)
    return (
        f"{len(collected)} tests in the suite: {len(known.expected)} expected to pass, "
        f"{len(known.reasons)} with a reason why not ({kept_out} of them not run), {len(gaps)} unexplained."
    )


if __name__ == "__main__":
    main()
