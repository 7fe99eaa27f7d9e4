"""A client's connection as an answer under way sees it: its socket, its back pressure, and its loss."""

import typing
from dataclasses import dataclass

from aiohttp import StreamReader, web


class UnderWay(typing.Protocol):
    """An answer on its way to the client; it is told what happens on the client's side."""

    def client_backed_up(self) -> None: ...
    def client_caught_up(self) -> None: ...
    def client_left(self) -> None: ...


class ClientConnection(web.RequestHandler):
    """Reports the connection's events to `answer` while one is under way."""

    __slots__ = ("answer",)

    def __init__(self, manager: web.Server, **kwargs: typing.Any) -> None:
        super().__init__(manager, **kwargs)
        self.answer: UnderWay | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.answer is not None:
            self.answer.client_backed_up()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.answer is not None:
            self.answer.client_caught_up()

    def request_over(self) -> None:
        """Called when the answer to a request that aiohttp has not seen is over."""

    def connection_lost(self, exc: BaseException | None) -> None:
        answer, self.answer = self.answer, None
        super().connection_lost(exc)
        if answer is not None:
            answer.client_left()


@dataclass(slots=True)
class Client:
    """The client of one answer. One older than HTTP/1.1 (not `modern`) does not understand chunks.

    `persists`: it wants to use the connection again. `content` is the part of its request that may be unread.
    """

    connection: ClientConnection
    modern: bool = True
    persists: bool = True
    content: StreamReader | None = None

    @property
    def is_backed_up(self) -> bool:
        """Whether it reads more slowly than it is sent to."""
        return self.connection.writing_paused

    @property
    def is_heard_out(self) -> bool:
        """Whether its whole request has come; only then can the next one be read."""
        return self.content is None or self.content.is_eof()
