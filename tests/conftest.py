"""What all tests share. The plugin with `gguf_sandbox` is loaded as in any other project: because it is installed."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mockserver import MockLlamaServer

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def gguf_sandbox_deployments() -> "dict[str, MockLlamaServer]":
    """`demo` as in the default sandbox, and `slow`, whose streams last: 20 tokens a second."""
    from mockserver import MockLlamaServer

    return {
        "demo": MockLlamaServer(embeddings=True, reranking=True),
        "slow": MockLlamaServer(tokens_per_second=20, context=100_000),
    }
