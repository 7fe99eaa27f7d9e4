"""Stands before a real llama-server, passes everything on, and keeps each exchange on file."""

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from mockserver.play.recording.recording_file import Recording
from mockserver.play.recording.recording_folder import RecordingFolder
from mockserver.play.recording.upstream import UnreachableError, Upstream

Log = Callable[[str], None]


class Recorder:
    """One file for each exchange, in `folder`; `log` is called with a line about each.

    Raises RecordingError for a folder or a URL that cannot be used.
    """

    def __init__(self, upstream: str, folder: Path, log: Log = lambda line: None) -> None:
        self._upstream = Upstream(upstream, self._keep, "--upstream")
        self._folder = RecordingFolder(folder)
        self._log = log

    def app(self) -> web.Application:
        """The application that records."""
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:(?s:.*)}", self._record)
        return app

    async def _record(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._upstream.pass_on(request)
        except UnreachableError as error:
            message = f"{error}; nothing recorded"
            self._log(message)
            return web.json_response({"error": message}, status=502)

    def _keep(self, recording: Recording) -> None:
        self._log(self._folder.keep(recording))
