"""Canned answers from files, which are read anew when they have changed: at the next request that might get one."""

import logging
from collections.abc import Sequence
from pathlib import Path

from mockserver.engine.canned_answers import CannedAnswer, CannedAnswers

_log = logging.getLogger("mockserver.answers")
_State = tuple[tuple[int, ...], ...]


class AnswerFiles:
    """Keeps `answers` as the files say, the first file's first answer going before all others of files."""

    def __init__(self, paths: Sequence[str], answers: CannedAnswers) -> None:
        self._paths = [Path(path) for path in paths]
        self._answers = answers
        self._read: list[CannedAnswer] = []
        self._seen: _State = ()

    def load(self) -> None:
        """Read the files. Raises BadRule, a ValueError naming file, line and field."""
        self._seen = self._state()
        self._read = self._parse()
        self.restore()

    def restore(self) -> None:
        """What was read last, its counts beginning anew; for whoever has forgotten it."""
        self._answers.replace_those_of_files(self._read)

    def follow(self) -> None:
        """Read the files again if one of them has changed since; while one is bad, the answers from before stay."""
        if not self._paths or (state := self._state()) == self._seen:
            return
        self._seen = state
        try:
            self._read = self._parse()
        except ValueError as error:
            _log.warning("%s The answers from before stay.", error)
            return
        self.restore()
        _log.info("read %d answers anew", len(self._read))

    def _parse(self) -> list[CannedAnswer]:
        if not self._paths:
            return []
        from mockserver.play.scenario import load_answers

        return [answer for path in self._paths for answer in load_answers(path)]

    def _state(self) -> _State:
        return tuple(_state_of(path) for path in self._paths)


def _state_of(path: Path) -> tuple[int, ...]:
    """What differs when a file has been written or replaced; empty if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
