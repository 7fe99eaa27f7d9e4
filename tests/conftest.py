"""What all tests share. The plugin with `gguf_sandbox` is loaded as in any other project: because it is installed."""

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mockserver import MockLlamaServer

pytest_plugins = ["pytester"]

# Over real sockets a case costs some 25 ms of a core, and the catalogue has thousands: by default each of its
# tests runs this many, evenly chosen and always the same. `make test CASES=all` runs every one.
_CASES = 4
_CATALOGUE = ("tests/behaviour/", "tests/endtoend/")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--cases all` runs every case of the tests over real sockets."""
    parser.addoption("--cases", choices=("some", "all"), default="some", help="cases of data-driven tests to run")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep some cases of each data-driven test of the catalogue."""
    if config.getoption("--cases") == "all" or any("[" in argument for argument in config.args):
        return
    cases = defaultdict(list)
    for item in items:
        if item.nodeid.startswith(_CATALOGUE):
            cases[item.nodeid.partition("[")[0]].append(item)
    left_out = {id(item) for one in cases.values() for item in one} - {
        id(item) for one in cases.values() for item in _spread(sorted(one, key=lambda item: item.nodeid))
    }
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


def _spread(cases: list[pytest.Item]) -> list[pytest.Item]:
    """The first, the last, and what lies evenly between."""
    if len(cases) <= _CASES:
        return cases
    return [cases[round(turn * (len(cases) - 1) / (_CASES - 1))] for turn in range(_CASES)]


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer]":
    """`demo` as in the default sandbox, and `slow`, whose streams last: 20 tokens a second."""
    from mockserver import MockLlamaServer

    return {
        "demo": MockLlamaServer(embeddings=True, reranking=True),
        "slow": MockLlamaServer(tokens_per_second=20, context=100_000),
    }
