"""The pytest plugin for other projects: `gguf_sandbox`, a gateway and mocks, and `mock_llama_server`, a mock alone.

Every pytest run of an environment loads this file, also where the project has folders named `gateway` or `mockserver`
of its own. So it is a module with a name of its own, and imports nothing but pytest until a fixture is used.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from mockserver import BackgroundMock, MockLlamaServer
    from mockserver.sandbox import MockFactory, Sandbox, SandboxFactory
    from mockserver.sandbox.sandbox import EndpointGroupName


class Reporter(Protocol):
    """What can tell of a failed test what it received."""

    def report(self) -> str: ...


_IN_USE: pytest.StashKey[list[Reporter]] = pytest.StashKey()


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer] | None":
    """The deployments of `gguf_sandbox`, by name; override it in a conftest.py. By default one, `demo`."""
    return None


@pytest.fixture(scope="session")
def gguf_sandbox_endpoints() -> "Sequence[EndpointGroupName] | None":
    """The endpoint groups of `gguf_sandbox`; override it in a conftest.py. By default the gateway's own default."""
    return None


@pytest.fixture(scope="session")
def _gguf_sandbox_of_session(
    gguf_sandbox_deployments: "dict[str, MockLlamaServer] | None",
    gguf_sandbox_endpoints: "Sequence[EndpointGroupName] | None",
) -> "Iterator[Sandbox]":
    with _ours("mockserver.sandbox").Sandbox(gguf_sandbox_deployments, endpoints=gguf_sandbox_endpoints) as sandbox:
        yield sandbox


@pytest.fixture
def gguf_sandbox(_gguf_sandbox_of_session: "Sandbox", request: pytest.FixtureRequest) -> "Sandbox":
    """A gateway and mock llama-servers: `.key`, `.deployment().base_url`, `.deployment().pause()` and so on.

    Started once a session, when first used; at the beginning of each test every deployment is ready and
    nothing has been received.
    """
    _gguf_sandbox_of_session.reset()
    _note(request, _gguf_sandbox_of_session)
    return _gguf_sandbox_of_session


@pytest.fixture
def gguf_sandbox_factory(request: pytest.FixtureRequest) -> "Iterator[SandboxFactory]":
    """Starts further sandboxes for one test. Takes what `mockserver.sandbox.Sandbox` takes."""
    ours = _ours("mockserver.sandbox")
    with ExitStack() as stack:

        def start(*deployments: Any, **options: Any) -> "Sandbox":
            sandbox: Sandbox = stack.enter_context(ours.Sandbox(*deployments, **options))
            _note(request, sandbox)
            return sandbox

        yield start


@pytest.fixture
def mock_llama_server_factory(request: pytest.FixtureRequest) -> "Iterator[MockFactory]":
    """Starts mock llama-servers for one test, with no gateway before them. Takes what `MockLlamaServer` takes."""
    ours = _ours("mockserver")
    with ExitStack() as stack:

        def start(**options: Any) -> "BackgroundMock":
            mock: BackgroundMock = stack.enter_context(ours.MockLlamaServer(**options))
            _note(request, mock)
            return mock

        yield start


@pytest.fixture
def mock_llama_server(mock_llama_server_factory: "MockFactory") -> "BackgroundMock":
    """A mock llama-server that is ready: `.url`, `.set_state("restarting")`, `.requests`."""
    return mock_llama_server_factory()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget what an earlier run of the same test used: some plugins run a failed test again."""
    item.stash[_IN_USE] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failed test, or of a fixture that failed, what its sandboxes received, and what the gateway logged."""
    report = yield
    if report.failed and call.when != "teardown":
        for used in item.stash.get(_IN_USE, []):
            report.sections.append((repr(used), used.report()))
    return report


def _note(request: pytest.FixtureRequest, used: Reporter) -> None:
    request.node.stash.setdefault(_IN_USE, []).append(used)


def _ours(name: str) -> Any:
    """A package of gguf-gateway. Where another is found under its name, the test fails with a sentence that says so."""
    found = import_module(name.partition(".")[0])
    places = [Path(place).resolve() for place in getattr(found, "__path__", [found.__file__])]
    ours = Path(__file__).resolve().with_name(found.__name__)
    if ours in places or hasattr(found, "MockLlamaServer"):
        return import_module(name)
    pytest.fail(
        f"The fixtures of gguf-gateway need its package {found.__name__!r}, but Python finds {places[0]} under that "
        "name first: rename that, or keep its folder out of sys.path (`--import-mode=importlib` tells pytest to).",
        pytrace=False,
    )
