"""The deployment that the SDKs are pointed at."""

import pytest

from mockserver.sandbox import Deployment, Sandbox


@pytest.fixture
def demo(gguf_sandbox: Sandbox) -> Deployment:
    return gguf_sandbox["demo"]
