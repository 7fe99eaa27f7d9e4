"""The pytest plugin for other projects: `gguf_sandbox`, a gateway and mocks, and `mock_llama_server`, a mock alone.

Imports nothing but pytest until a fixture is used: every pytest run of an environment loads this file.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from mockserver.sandbox.sandbox import Sandbox
    from mockserver.server.background_thread import BackgroundMock
    from mockserver.server.mock_server import MockLlamaServer


class Reporter(Protocol):
    """What can tell of a failed test what it received."""

    def report(self) -> str: ...


_IN_USE: pytest.StashKey[list[Reporter]] = pytest.StashKey()


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer] | None":
    """The deployments of `gguf_sandbox`, by name; override it in a conftest.py. By default one, `demo`."""
    return None


@pytest.fixture(scope="session")
def _gguf_sandbox_of_session(
    gguf_sandbox_deployments: "dict[str, MockLlamaServer] | None",
) -> "Iterator[Sandbox]":
    from mockserver.sandbox.sandbox import Sandbox

    with Sandbox(gguf_sandbox_deployments) as sandbox:
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
def gguf_sandbox_factory(request: pytest.FixtureRequest) -> "Iterator[Callable[..., Sandbox]]":
    """Starts further sandboxes for one test. Takes what `mockserver.sandbox.Sandbox` takes."""
    from mockserver.sandbox.sandbox import Sandbox

    with ExitStack() as stack:

        def start(deployments: "dict[str, MockLlamaServer] | None" = None, **options: Any) -> "Sandbox":
            sandbox = stack.enter_context(Sandbox(deployments, **options))
            _note(request, sandbox)
            return sandbox

        yield start


@pytest.fixture
def mock_llama_server_factory(request: pytest.FixtureRequest) -> "Iterator[Callable[..., BackgroundMock]]":
    """Starts mock llama-servers for one test, with no gateway before them. Takes what `MockLlamaServer` takes."""
    from mockserver.server.mock_server import MockLlamaServer

    with ExitStack() as stack:

        def start(**options: Any) -> "BackgroundMock":
            mock = stack.enter_context(MockLlamaServer(**options))
            _note(request, mock)
            return mock

        yield start


@pytest.fixture
def mock_llama_server(mock_llama_server_factory: "Callable[..., BackgroundMock]") -> "BackgroundMock":
    """A mock llama-server that is ready: `.url`, `.set_state("restarting")`, `.requests`."""
    return mock_llama_server_factory()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failed test what its sandboxes received, and what the gateway logged."""
    report = yield
    if report.failed and call.when == "call":
        for used in item.stash.get(_IN_USE, []):
            report.sections.append((repr(used), used.report()))
    return report


def _note(request: pytest.FixtureRequest, used: Reporter) -> None:
    request.node.stash.setdefault(_IN_USE, []).append(used)
