"""Plays recordings back: the same bytes in the same pieces, after the same time or a share of it."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from copy import copy
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from mockserver.core.raw_response import RawResponse
from mockserver.play.recording.recording_file import Recording, RecordingEnd, RecordingError, read_folder
from mockserver.play.recording.scrubbing import scrub
from mockserver.play.recording.upstream import recording_of, send_head, send_piece

_LISTED = 50

RecordingKey = tuple[str, str, Any]


class Episodes:
    """Recordings by what was asked. What was asked several times is answered in the order recorded, and from then on
    as the last time.
    """

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._all: list[Recording] = []
        self._unplayed: list[tuple[RecordingKey, list[Recording]]] = []
        for recording in recordings:
            self.add(recording)

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, recording: Recording) -> None:
        """One more, which must have been scrubbed."""
        self._all.append(recording)
        key = _key_of(recording)
        for known, recordings in self._unplayed:
            if known == key:
                recordings.append(recording)
                return
        self._unplayed.append((key, [recording]))

    def next(self, asked: Recording) -> Recording | None:
        """The recording of a request, which may have its secrets still; None if there is none."""
        asked = copy(asked)
        scrub(asked)
        key = _key_of(asked)
        answers = next((recordings for known, recordings in self._unplayed if known == key), [])
        if len(answers) > 1:
            return answers.pop(0)
        return answers[0] if answers else None


class Replayer:
    """The recordings of `folder`; `speed` 2 is twice as fast as it was, 0 is without any delay.

    Raises RecordingError.
    """

    def __init__(self, folder: Path, speed: float = 1.0) -> None:
        self.recordings = Episodes(read_folder(folder))
        if not self.recordings:
            raise RecordingError(f"There is no recording in {folder}.")
        self._speed = speed

    def app(self) -> web.Application:
        """The application that plays them."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:(?s:.*)}", self._replay)
        return app

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        asked = await recording_of(request)
        recording = self.recordings.next(asked)
        if recording is None:
            return not_recorded(asked, self.recordings, HTTPStatus.NOT_FOUND, "No recording of: ")
        return await play(recording, request, self._speed)


async def play(recording: Recording, request: web.Request, speed: float) -> RawResponse:
    """Answer as was recorded, so many times as fast; 0: at once."""
    answer, started = RawResponse(request), time.monotonic()
    try:
        if recording.status_line:
            await _until(started, recording.head_after_ms, speed)
            await send_head(request, recording, answer)
        for piece in recording.pieces:
            await _until(started, piece.after_ms, speed)
            await send_piece(request, piece.data, recording, answer)
        await _until(started, recording.ended_after_ms, speed)
        if recording.ended is RecordingEnd.FINISHED:
            await answer.finish(chunked=recording.is_chunked, keep=recording.is_kept)
        else:
            answer.close_unfinished()
    except ConnectionError:
        answer.close_unfinished()
    return answer


async def _until(started: float, after_ms: float, speed: float) -> None:
    """Wait for the moment of a piece; lateness of one does not add up."""
    if speed:
        await asyncio.sleep(started + after_ms / 1000 / speed - time.monotonic())


def not_recorded(asked: Recording, recordings: Iterable[Recording], status: HTTPStatus, why: str) -> web.Response:
    """An error that lists what there is, those of the same path first."""
    scrub(asked)
    near = sorted(recordings, key=lambda one: (one.path != asked.path, one.method != asked.method))
    error = {
        "code": status.value,
        "message": f"{why}{asked}",
        "type": "not_found_error" if status is HTTPStatus.NOT_FOUND else "unavailable_error",
        "recorded": [str(one) for one in near[:_LISTED]],
    }
    return web.json_response({"error": error}, status=status)


def _key_of(recording: Recording) -> RecordingKey:
    """What a request is known by: method, path with its query, and body; as JSON if it is that."""
    try:
        return recording.method, recording.path, json.loads(recording.body)
    except ValueError:
        return recording.method, recording.path, recording.body
