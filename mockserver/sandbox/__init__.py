"""A gateway and mock llama-servers on this machine, for tests and scripts; and the pytest fixtures."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    """Import the sandbox when it is first asked for: pytest imports the plugin beside it in every project."""
    if name == "Sandbox":
        from mockserver.sandbox.sandbox import Sandbox

        return Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
