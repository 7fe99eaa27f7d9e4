"""The transport of a connection to an upstream, by hand: what is delivered, and in which pieces, is the test's."""

import asyncio

from gateway.proxy.upstream.connection import UpstreamConnection


class UpstreamWire(asyncio.Transport):
    """Is open until it is aborted, and takes everything.

    It delivers as uvloop does, which looks up who takes what it read only when it is given a protocol.
    """

    def __init__(self, connection: UpstreamConnection) -> None:
        super().__init__()
        self.reads = True
        self.closed = False
        self.set_protocol(connection)
        connection.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, UpstreamConnection)
        self.deliver = protocol.data_received

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        self.closed = True
