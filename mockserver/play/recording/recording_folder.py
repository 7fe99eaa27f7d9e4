"""The folder that recordings are kept in, numbered as they come."""

from pathlib import Path

from mockserver.play.recording.recording_file import Recording, RecordingError, files_of, write
from mockserver.play.recording.scrubbing import scrub


class RecordingFolder:
    """Keeps recordings without their secrets, behind those that are there. Raises RecordingError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"Cannot record to {folder}: {error.strerror}.") from error
        last = files_of(folder)[-1:]
        self._number = int(last[0].name[:4]) if last else 0

    def keep(self, recording: Recording) -> str:
        """Take out its secrets and put it on file; what to tell of it."""
        self._number += 1
        scrub(recording)
        path = write(recording, self._folder, self._number)
        return f"{recording.outcome}: {path.name}"
