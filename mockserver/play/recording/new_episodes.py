"""Answers from recordings; what is not among them is asked of a real server and becomes one: VCR's `new_episodes`."""

import logging
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from mockserver.play.recording.recording_file import Recording, RecordingEnd, read_folder
from mockserver.play.recording.recording_folder import RecordingFolder
from mockserver.play.recording.replayer import Episodes, not_recorded, play
from mockserver.play.recording.scrubbing import spoils_answer
from mockserver.play.recording.upstream import UnreachableError, Upstream, recording_of

_log = logging.getLogger("mockserver.recording")
_AT_ONCE = 0.0
# These tell of a key or of a moment, not of the request: to play them for ever would be wrong.
_PASSING = frozenset({401, 403, 408, 425, 429})


class NewEpisodes:
    """Answers from `folder`, at once, or else as the server at `url` does. Raises RecordingError for either."""

    def __init__(self, url: str, folder: Path) -> None:
        self._upstream = Upstream(url, self._keep, "--else")
        self._folder = RecordingFolder(folder)
        self._episodes = Episodes(read_folder(folder))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request. If it is neither recorded nor can be asked, 502 with what is recorded."""
        asked = await recording_of(request)
        recording = self._episodes.next(asked)
        if recording is not None:
            return await play(recording, request, _AT_ONCE)
        try:
            return await self._upstream.pass_on(request)
        except UnreachableError as error:
            _log.warning("%s %s is not recorded, and %s", request.method, request.path, error)
            return not_recorded(asked, self._episodes, HTTPStatus.BAD_GATEWAY, f"No recording, and {error}: ")

    def _keep(self, recording: Recording) -> None:
        """Keep what tells of the request alone: a whole answer, no passing trouble, and readable without keys."""
        is_passing = recording.status in _PASSING or recording.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if recording.ended is not RecordingEnd.FINISHED or is_passing or spoils_answer(recording):
            _log.warning("not recorded: %s", recording.outcome)
            return
        _log.info("recorded: %s", self._folder.keep(recording))
        self._episodes.add(recording)
