"""The sandbox's configuration file as the control URL changes it: one status at a time, whatever else was edited."""

from pathlib import Path
from threading import Lock

import yaml

from gateway.core.deployment import Status


class StatusFileError(Exception):
    """The file cannot be changed now. The message is one sentence without its stop."""


class StatusFile:
    """The file at `path`. Nobody else on this machine may read it: it holds keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()

    def write(self, text: str) -> None:
        """Replace it whole."""
        draft = self.path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.path)

    def set_status(self, name: str, status: Status) -> None:
        """Change the status of a deployment. Raises StatusFileError if the file, just edited, does not have it."""
        with self._lock:
            try:
                document = yaml.safe_load(self.path.read_text(encoding="utf-8"))
                document["deployments"][name]["status"] = str(status)
            except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
                raise StatusFileError(f"{self.path} has no deployment {name} that could be changed") from error
            self.write(yaml.safe_dump(document, sort_keys=False))
