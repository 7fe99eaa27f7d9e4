"""A gateway may have very many deployments: the line of one costs no more for it."""

from time import process_time

from gateway.core.deployment import Deployment
from gateway.proxy.queue.lines import Lines


def seconds_of(number: int) -> float:
    """Of CPU, for so many lines that are made and closed."""
    lines, begun = Lines(), process_time()
    for each in range(number):
        lines.of(Deployment(id=f"model-{each}", account="acme", upstream="http://127.0.0.1:9"))
    lines.keep_only(())
    return process_time() - begun


def test_ten_times_the_lines_take_ten_times_as_long_and_not_a_hundred() -> None:
    few = min(seconds_of(1_000) for _ in range(3))
    assert min(seconds_of(10_000) for _ in range(2)) < 30 * few
