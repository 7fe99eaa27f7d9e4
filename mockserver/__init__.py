"""A llama-server double: the wire behaviour and the life cycle of the real one, with no model and no GPU."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.core.clock import NotInTime
    from mockserver.server.background_thread import BackgroundMock
    from mockserver.server.mock_server import MockLlamaServer

__all__ = ["BackgroundMock", "MockLlamaServer", "NotInTime"]

_HOMES = {
    "BackgroundMock": "mockserver.server.background_thread",
    "MockLlamaServer": "mockserver.server.mock_server",
    "NotInTime": "mockserver.core.clock",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for: importing the package alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
