"""What all tests share. The plugin with `gguf_sandbox` is loaded as in any other project: because it is installed."""

import gc
import os
import random
import re
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from gateway.cli.sandbox.real_server import RealServer
    from mockserver import MockLlamaServer
    from tests.harness.storage.postgresql import Postgresql

pytest_plugins = ["pytester"]

# What the modules beside the tests assert is explained as in the tests themselves.
pytest.register_assert_rewrite("tests.harness", "tests.wire", "tests.unit")

# Over real sockets a case costs some 25 ms of a core, and the catalogue has thousands: by default each of its
# tests runs this many, evenly chosen and always the same. `make test CASES=all` runs every one.
_CASES = 4
_CATALOGUE = ("tests/wire/", "tests/sdk/")

_FOR_THE_TOOLS = ("tools", "slow")
ALL_FOR_THE_TOOLS = re.compile(r"^pytestmark = .*pytest\.mark\.(tools|slow)\b", re.MULTILINE)
_OF_SPEED = (HealthCheck.too_slow,)  # a busy machine is no fault

# The event loops a gateway can run on. A case that starts one has its loop in its name, and is by default run on one
# of them: the cases of a test take turns, and so do the tests of one case.
_LOOPS = ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",)

# What is started once for all tests that a worker runs with it.
_SHARED = ("gguf_sandbox", "witnessed", "relay_gateway", "strict_gateway", "impatient_gateway", "gateway")

# Each takes a second of a core to import, and every worker collects all of the tests: only the workers whose tests use
# one load it. This holds for `import openai`; `from openai import OpenAI` loads it at once.
_IMPORTED_WHEN_USED = ("anthropic", "openai")


class Case(Protocol):
    """What pytest makes a test of a data-driven function from. Its own name for it changes from release to release."""

    params: dict[str, Any]
    marks: list[pytest.Mark | pytest.MarkDecorator]

    @property
    def id(self) -> str: ...


class ImportedWhenUsed(ModuleType):
    """A module that loads itself when it is first asked for something; whoever asks meanwhile waits for that."""

    _loading = threading.RLock()  # free again for the thread that loads: the module asks itself for what it has

    @classmethod
    def put_in_place(cls, name: str) -> None:
        """From now on `import name` is this."""
        spec = find_spec(name)
        assert spec is not None, f"{name} is not installed"
        module = sys.modules[name] = module_from_spec(spec)
        del module.__path__  # who asks for this is about to import a part of it
        module.__class__ = cls

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if (name.startswith("_") and name != "__path__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        with self._loading:
            if "__path__" not in vars(self):
                self.__path__ = spec.submodule_search_locations or []
                spec.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]  # from here on as any other
        return ModuleType.__getattribute__(self, name)


for _name in _IMPORTED_WHEN_USED:
    if _name not in sys.modules:
        ImportedWhenUsed.put_in_place(_name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--cases all` runs every case of the tests over real sockets, `--loop both` each of them twice."""
    parser.addoption("--cases", choices=("some", "all"), default="some", help="cases of data-driven tests to run")
    parser.addoption(
        "--loop", choices=("turns", "both", *_LOOPS), default="turns", help="event loops of the gateways under test"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers, say how many examples hypothesis tries, and spare the workers what costs them most.

    The tests start gateways by the hundred, on workers that each read all of the tests. Nothing that is collected
    becomes garbage, so none is looked for until `pytest_collection_finish`. Python keeps what it compiles, even where
    its environment says otherwise, as Docker's do: compiling every time anew would be a fifth of all the work.
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


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Make a case for each event loop out of each that starts a gateway; and leave out the cases that are not to run.

    That happens before pytest makes tests of them, which costs more than importing all of the tests does.
    """
    if "gateway_loop" in metafunc.fixturenames:
        metafunc.parametrize("gateway_loop", _LOOPS, indirect=True)
    yield
    config = metafunc.config
    calls: list[Case] = metafunc._calls  # type: ignore[assignment]  # nothing public has them
    wanted = calls if _with_those_for_the_tools(config) else [call for call in calls if not _is_for_tools(call.marks)]
    if metafunc.definition.nodeid.startswith(_CATALOGUE) and not any("[" in argument for argument in config.args):
        wanted = _chosen(metafunc.definition.nodeid, wanted, config)
    calls[:] = wanted or calls  # never none of them: that would be a test without parameters


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a module that says, in one line, that all of it is for the tools."""
    if collection_path.suffix != ".py" or str(collection_path) in config.args or _with_those_for_the_tools(config):
        return None
    return bool(ALL_FOR_THE_TOOLS.search(collection_path.read_text(encoding="utf-8"))) or None


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Leave out what is not to run; once the rest is shuffled, put it into an order that costs least."""
    if not _with_those_for_the_tools(config):
        left_out = [item for item in items if _is_for_tools(item.iter_markers())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_for_tools(item.iter_markers())]
    yield
    items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, str, str]:
    """First what takes long; then together what uses the same gateway, since each worker starts its own of it."""
    used: list[str] = getattr(item, "fixturenames", [])
    shared = next((name for name in _SHARED if name in used), "~")
    loop = item.callspec.params.get("gateway_loop", "") if hasattr(item, "callspec") else ""
    return item.get_closest_marker("long") is None, shared, loop


def _with_those_for_the_tools(config: pytest.Config) -> bool:
    """Whether `-m` or a test's own name asks for them, or all cases are to run."""
    named = any("::" in argument for argument in config.args)
    return bool(named or config.getoption("-m") or config.getoption("--cases") == "all")


def _is_for_tools(marks: Iterable[pytest.Mark | pytest.MarkDecorator]) -> bool:
    return any(mark.name in _FOR_THE_TOOLS for mark in marks)


def _chosen(test: str, calls: list[Case], config: pytest.Config) -> list[Case]:
    """Some cases of a data-driven test of the catalogue, and of each the loops that are wanted."""
    cases: defaultdict[str, list[Case]] = defaultdict(list)
    for call in calls:
        cases[_without_loop(call)].append(call)
    chosen = sorted(cases) if config.getoption("--cases") == "all" else _spread(sorted(cases))
    kept = [
        id(call)
        for turn, case in enumerate(chosen, crc32(test.encode()))
        for call in _on_loops(cases[case], config.getoption("--loop"), turn)
    ]
    return [call for call in calls if id(call) in kept]


def _spread(cases: list[str]) -> list[str]:
    """The first, the last, and what lies evenly between."""
    if len(cases) <= _CASES:
        return cases
    return [cases[round(turn * (len(cases) - 1) / (_CASES - 1))] for turn in range(_CASES)]


def _on_loops(same: list[Case], loop: str, turn: int) -> list[Case]:
    """One case on the loops that are wanted; as it is if it starts no gateway."""
    if len(same) == 1 or loop == "both":
        return same
    wanted = _LOOPS[turn % len(_LOOPS)] if loop == "turns" else loop
    return [call for call in same if call.params.get("gateway_loop") == wanted]


def _without_loop(call: Case) -> str:
    """The name of a case, the same on either loop."""
    return "-".join(part for part in call.id.split("-") if part != call.params.get("gateway_loop"))


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
def postgresql_server() -> "Iterator[Postgresql]":
    """A PostgreSQL server. Where there can be none, the test is skipped, and says why."""
    from tests.harness.storage.postgresql import postgresql, why_not

    if reason := why_not():
        pytest.skip(reason)
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer]":
    """`demo` as in the default sandbox, and `slow`, whose streams last: 20 tokens a second."""
    from mockserver import MockLlamaServer

    return {
        "demo": MockLlamaServer(embeddings=True, reranking=True),
        "slow": MockLlamaServer(tokens_per_second=20, context=100_000),
    }
