"""A llama-server double: the wire behaviour and the life cycle of the real one, with no model and no GPU."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockserver.server.background_thread import BackgroundMock
    from mockserver.server.mock_server import MockLlamaServer

__all__ = ["BackgroundMock", "MockLlamaServer"]


def __getattr__(name: str) -> Any:
    """Import the server when it is first asked for: importing the package alone costs nothing."""
    if name == "MockLlamaServer":
        from mockserver.server.mock_server import MockLlamaServer

        return MockLlamaServer
    if name == "BackgroundMock":
        from mockserver.server.background_thread import BackgroundMock

        return BackgroundMock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
