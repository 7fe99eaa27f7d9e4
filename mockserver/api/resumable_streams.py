"""Streams that outlive their client: one with `X-Conversation-Id` can be read again, or stopped.

Mirrors tools/server/server-stream.cpp.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.clock import Clock

_KEPT_BYTES = 4 * 1024 * 1024
_KEPT_SECONDS = 300.0


@dataclass(slots=True, eq=False)
class StreamSession:
    """One stream and what it has said so far; only the last 4 MiB are kept."""

    id: str
    clock: Clock
    started_at: int
    completed_at: int = 0
    buffer: bytearray = field(default_factory=bytearray)
    dropped_bytes: int = 0
    done: bool = False
    filling: asyncio.Task[None] | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    error: ApiError | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def total(self) -> int:
        """Bytes said so far."""
        return self.dropped_bytes + len(self.buffer)

    async def fill(self, chunks: AsyncGenerator[bytes]) -> None:
        """Take everything in; the first chunk, which may be empty, says that the answer has begun."""
        try:
            async for chunk in chunks:
                self.buffer += chunk
                surplus = max(0, len(self.buffer) - _KEPT_BYTES)
                del self.buffer[:surplus]
                self.dropped_bytes += surplus
                self.started.set()
                self._notify()
        except ApiError as error:
            self.error = error
        finally:
            self.done, self.completed_at = True, self.clock.unix()
            self.started.set()
            self._notify()
            await chunks.aclose()

    async def read(self, start: int) -> AsyncGenerator[bytes]:
        """Everything from an offset on, as it comes; raises the 400 of an offset that is gone."""
        if start < self.dropped_bytes:
            raise ApiError(400, "Stream offset lost, please restart")
        while True:
            if start < self.total:
                chunk = bytes(self.buffer[start - self.dropped_bytes :])
                start += len(chunk)
                yield chunk
            elif self.done:
                return
            else:
                await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class StreamSessions:
    """The streams of one server, by conversation; in a router also those that still wait for their model."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, StreamSession] = {}
        self._expected: dict[str, object] = {}

    @contextmanager
    def expect(self, conversation: str) -> Iterator[Callable[[], None]]:
        """A stream will be opened once its model is loaded, which is to be said by calling what is given.

        The call raises the 400 of a stream that was stopped meanwhile.
        """
        token = self._expected[conversation] = object()

        def model_is_loaded() -> None:
            if self._expected.get(conversation) is not token:
                raise ApiError(400, "request cancelled by a stop while the model was loading")
            del self._expected[conversation]

        try:
            yield model_is_loaded
        finally:
            if self._expected.get(conversation) is token:
                del self._expected[conversation]

    def open(self, conversation: str, chunks: AsyncGenerator[bytes]) -> StreamSession:
        """Begin a stream; one of the same conversation that still runs is stopped."""
        self.stop(conversation)
        session = self._sessions[conversation] = StreamSession(conversation, self._clock, self._clock.unix())
        session.filling = asyncio.create_task(session.fill(chunks))
        return session

    def find(self, conversation: str) -> StreamSession:
        """A stream; raises 404, or 503 for one that is yet to come."""
        self._forget_old()
        if conversation in self._expected:
            raise ApiError(503, "Stream owner model is loading, retry later")
        if conversation not in self._sessions:
            raise ApiError(404, "File Not Found")
        return self._sessions[conversation]

    def stop(self, conversation: str) -> None:
        """End a stream and forget it; one that is not there is no error."""
        self._expected.pop(conversation, None)
        session = self._sessions.pop(conversation, None)
        if session is not None and session.filling is not None:
            session.filling.cancel()

    def stop_all(self) -> None:
        """End every stream."""
        for conversation in list(self._sessions):
            self.stop(conversation)

    def look_up(self, conversations: list[str]) -> list[dict[str, Any]]:
        """What is known of some streams: those of a conversation, and of it with a model, `name::model`."""
        self._forget_old()
        found = [
            session
            for name in conversations
            for session in self._sessions.values()
            if session.id == name or session.id.startswith(f"{name}::")
        ]
        return [
            {
                "conversation_id": session.id,
                "is_done": session.done,
                "total_bytes": session.total,
                "started_at": session.started_at,
                "completed_at": session.completed_at,
            }
            for session in found
        ]

    def _forget_old(self) -> None:
        oldest = self._clock.epoch() - _KEPT_SECONDS
        for session in list(self._sessions.values()):
            if session.done and session.completed_at < oldest:
                del self._sessions[session.id]
