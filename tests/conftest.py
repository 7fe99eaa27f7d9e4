"""What all tests share. The plugin with `gguf_sandbox` is loaded as in any other project: because it is installed."""

import gc
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from gateway.cli.sandbox.real_server import RealServer
    from mockserver import MockLlamaServer

pytest_plugins = ["pytester"]

# What the modules beside the tests assert is explained as in the tests themselves.
pytest.register_assert_rewrite("tests.harness", "tests.wire", "tests.unit")

# Over real sockets a case costs some 25 ms of a core, and the catalogue has thousands: by default each of its
# tests runs this many, evenly chosen and always the same. `make test CASES=all` runs every one.
_CASES = 4
_CATALOGUE = ("tests/wire/", "tests/sdk/")

_FOR_THE_TOOLS = ("tools", "slow")
_OF_SPEED = (HealthCheck.too_slow,)  # a busy machine is no fault

# The event loops a gateway can run on. A case that starts one has its loop in its name, and is by default run on one
# of them: the cases of a test take turns, and so do the tests of one case.
_LOOPS = ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--cases all` runs every case of the tests over real sockets, `--loop both` each of them twice."""
    parser.addoption("--cases", choices=("some", "all"), default="some", help="cases of data-driven tests to run")
    parser.addoption(
        "--loop", choices=("turns", "both", *_LOOPS), default="turns", help="event loops of the gateways under test"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker, and let Python keep what it compiles, even where its environment says otherwise (Docker's do).

    The tests start gateways by the hundred, on workers that each read all of the tests: compiling every time anew
    would be a fifth of all the work.
    """
    gc.disable()
    config.addinivalue_line("markers", "long: takes seconds, and is begun first: all would wait for it in the end")
    config.addinivalue_line("markers", "tools: about a tool of this repository (`make test-tools`, or `--cases all`)")
    config.addinivalue_line("markers", "slow: takes long for one property (`make test-tools`, or `--cases all`)")
    for name, examples in (("some", 30), ("all", 300)):
        settings.register_profile(name, max_examples=examples, deadline=None, suppress_health_check=_OF_SPEED)
    settings.load_profile(config.getoption("--cases"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: never look through it for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def gateway_loop(request: pytest.FixtureRequest) -> str:
    """The event loop of the gateways in this case: "asyncio" or "uvloop"."""
    loop: str = request.param
    return loop


@pytest.fixture
def is_thorough(pytestconfig: pytest.Config) -> bool:
    """Whether all cases are to run."""
    return bool(pytestconfig.getoption("--cases") == "all")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What to draw chances from, another number in each run. It is shown where a case fails."""
    drawn = random.randrange(2**32)
    request.node.add_report_section("call", "seed", str(drawn))
    return drawn


@pytest.fixture
def heard_ctrl_c() -> Iterator[None]:
    """SIGINT as a terminal's programs have it; ignored, as in a shell's background, it would be so in children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a case for each event loop out of each that starts a gateway."""
    if "gateway_loop" in metafunc.fixturenames:
        metafunc.parametrize("gateway_loop", _LOOPS, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Leave out what is not to run; once the rest is shuffled, put the long ones first."""
    _leave_out_what_is_for_the_tools(config, items)
    _choose(config, items)
    yield
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _leave_out_what_is_for_the_tools(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unless `-m` or a test's own name asks for it, or all cases are to run."""
    named = any("::" in argument for argument in config.args)
    if named or config.getoption("-m") or config.getoption("--cases") == "all":
        return
    left_out = [item for item in items if _is_for_tools(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_for_tools(item)]


def _is_for_tools(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in _FOR_THE_TOOLS)


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep some cases of each data-driven test of the catalogue, and of each the loops that are wanted."""
    if any("[" in argument for argument in config.args):
        return
    tests: defaultdict[str, defaultdict[str, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.nodeid.startswith(_CATALOGUE):
            tests[item.nodeid.partition("[")[0]][_without_loop(item)].append(item)
    kept = set[str]()
    for test, cases in tests.items():
        chosen = sorted(cases) if config.getoption("--cases") == "all" else _spread(sorted(cases))
        for turn, case in enumerate(chosen, crc32(test.encode())):
            kept.update(item.nodeid for item in _on_loops(cases[case], config.getoption("--loop"), turn))
    left_out = [item for item in items if item.nodeid.startswith(_CATALOGUE) and item.nodeid not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.nodeid.startswith(_CATALOGUE) or item.nodeid in kept]


def _spread(cases: list[str]) -> list[str]:
    """The first, the last, and what lies evenly between."""
    if len(cases) <= _CASES:
        return cases
    return [cases[round(turn * (len(cases) - 1) / (_CASES - 1))] for turn in range(_CASES)]


def _on_loops(same: list[pytest.Item], loop: str, turn: int) -> list[pytest.Item]:
    """One case on the loops that are wanted; as it is if it starts no gateway."""
    if len(same) == 1 or loop == "both":
        return same
    wanted = _LOOPS[turn % len(_LOOPS)] if loop == "turns" else loop
    return [item for item in same if _loop_of(item) == wanted]


def _without_loop(item: pytest.Item) -> str:
    """The name of a case, the same on either loop."""
    test, _, case = item.nodeid.partition("[")
    loop = _loop_of(item)
    return test + "[" + "-".join(part for part in case.removesuffix("]").split("-") if part != loop)


def _loop_of(item: pytest.Item) -> str:
    call = getattr(item, "callspec", None)  # None: a case without parameters
    return str(call.params.get("gateway_loop", "")) if call is not None else ""


@pytest.fixture(scope="session")
def real_server() -> "RealServer":
    """A real llama-server with its model. Where there is none, the test is skipped, and says how to get one."""
    from gateway.cli.sandbox.mock_process import SandboxError
    from gateway.cli.sandbox.real_server import find_real_server

    try:
        return find_real_server()
    except SandboxError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer]":
    """`demo` as in the default sandbox, and `slow`, whose streams last: 20 tokens a second."""
    from mockserver import MockLlamaServer

    return {
        "demo": MockLlamaServer(embeddings=True, reranking=True),
        "slow": MockLlamaServer(tokens_per_second=20, context=100_000),
    }
