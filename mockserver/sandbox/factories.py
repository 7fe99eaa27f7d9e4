"""The types of the factory fixtures: annotate with them, and editors know every option."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Unpack

from mockserver.sandbox.sandbox import EndpointGroupName, Sandbox
from mockserver.server.background_thread import BackgroundMock
from mockserver.server.mock_server import MockLlamaServer
from mockserver.server.option_keywords import OptionKeywords


class SandboxFactory(Protocol):
    """`gguf_sandbox_factory`: starts a sandbox that ends with the test."""

    def __call__(
        self,
        deployments: Mapping[str, MockLlamaServer] | None = None,
        *,
        key: str = ...,
        server: Mapping[str, Any] | None = None,
        endpoints: Sequence[EndpointGroupName] | None = None,
        **mock_options: Unpack[OptionKeywords],
    ) -> Sandbox:
        """See `Sandbox`, which takes the same."""
        ...


class MockFactory(Protocol):
    """`mock_llama_server_factory`: starts a mock that ends with the test."""

    def __call__(self, **options: Unpack[OptionKeywords]) -> BackgroundMock:
        """See `MockLlamaServer`, which takes the same."""
        ...
