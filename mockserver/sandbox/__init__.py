"""A gateway and mock llama-servers on this machine, for tests and scripts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.sandbox.deployment import Deployment
    from mockserver.sandbox.factories import MockFactory, SandboxFactory
    from mockserver.sandbox.gateway_process import GatewayError
    from mockserver.sandbox.sandbox import Sandbox

__all__ = ["Deployment", "GatewayError", "MockFactory", "Sandbox", "SandboxFactory"]

_HOMES = {
    "Deployment": "mockserver.sandbox.deployment",
    "GatewayError": "mockserver.sandbox.gateway_process",
    "MockFactory": "mockserver.sandbox.factories",
    "Sandbox": "mockserver.sandbox.sandbox",
    "SandboxFactory": "mockserver.sandbox.factories",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for: importing the package alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
