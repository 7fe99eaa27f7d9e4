"""Plays recordings back: the same bytes in the same pieces, after the same time or a share of it."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from mockserver.core.raw_response import RawResponse
from mockserver.play.recording.recording_file import Recording, RecordingEnd, RecordingError, files_of, read, scrub

_LISTED = 50

RecordingKey = tuple[str, str, Any]


class Replayer:
    """The recordings of `folder`; `speed` 2 is twice as fast as it was, 0 is without any delay.

    What was asked several times is answered in the order recorded, and from then on as the last time.
    Raises RecordingError.
    """

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self.recordings = [read(path) for path in files_of(folder)]
        if not self.recordings:
            raise RecordingError(f"There is no recording in {folder}.")
        self._speed = speed
        self._unplayed: list[tuple[RecordingKey, list[Recording]]] = []
        for recording in self.recordings:
            self._recordings_of(_key_of(recording)).append(recording)

    def app(self) -> web.Application:
        """The application that plays them."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:(?s:.*)}", self._replay)
        return app

    def _recordings_of(self, key: RecordingKey) -> list[Recording]:
        """The list for this question, a new one if it was not asked before."""
        for known, recordings in self._unplayed:
            if known == key:
                return recordings
        self._unplayed.append((key, []))
        return self._unplayed[-1][1]

    def _next(self, key: RecordingKey) -> Recording | None:
        answers = next((recordings for known, recordings in self._unplayed if known == key), [])
        if len(answers) > 1:
            return answers.pop(0)
        return answers[0] if answers else None

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        key = Recording(request.method, request.raw_path, headers, await request.read())
        scrub(key)
        recording = self._next(_key_of(key))
        if recording is None:
            return _not_recorded(key, self.recordings)
        answer = RawResponse(request)
        try:
            await self._play(recording, answer)
        except ConnectionError:
            answer.close_unfinished()
        return answer

    async def _play(self, recording: Recording, answer: RawResponse) -> None:
        started = time.monotonic()
        if recording.status_line:
            await self._until(started, recording.head_after_ms)
            await answer.send(recording.head)
        for piece in recording.pieces:
            await self._until(started, piece.after_ms)
            await answer.send_piece(piece.data, chunked=recording.is_chunked)
        await self._until(started, recording.ended_after_ms)
        if recording.ended is RecordingEnd.FINISHED:
            await answer.finish(chunked=recording.is_chunked, keep=recording.is_kept)
        else:
            answer.close_unfinished()

    async def _until(self, started: float, after_ms: float) -> None:
        """Wait for the moment of a piece; lateness of one does not add up."""
        if self._speed:
            await asyncio.sleep(started + after_ms / 1000 / self._speed - time.monotonic())


def _key_of(recording: Recording) -> RecordingKey:
    """What a request is known by: method, path with its query, and body; as JSON if it is that."""
    try:
        return recording.method, recording.path, json.loads(recording.body)
    except ValueError:
        return recording.method, recording.path, recording.body


def _not_recorded(key: Recording, recordings: Sequence[Recording]) -> web.Response:
    """404 that lists what there is, those of the same path first."""
    near = sorted(recordings, key=lambda one: (one.path != key.path, one.method != key.method))
    message = f"No recording of: {key}"
    error = {
        "code": 404,
        "message": message,
        "type": "not_found_error",
        "recorded": [str(one) for one in near[:_LISTED]],
    }
    return web.json_response({"error": error}, status=404)
