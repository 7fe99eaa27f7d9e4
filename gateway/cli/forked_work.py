"""Work in a process of its own while this one goes on: what has to be loaded for it ends with it."""

import os
import pickle
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from gateway.config.document import SourceError

_T = TypeVar("_T")


class ForkedWork(Generic[_T]):
    """`work`, begun in a child. Only for a process that has one thread yet: no other lives on in a child (fork(2)).

    Where there can be no child, or it ends without a word, `result` does the work: it may fail where one sees why.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._pipe, theirs = os.pipe()
        try:
            self._child: int | None = os.fork()
        except OSError:  # too many processes
            self._child = None
        if self._child == 0:
            _do(work, theirs)
        os.close(theirs)

    def result(self) -> _T:
        """Wait for what has come of it. Raises SourceError if that has."""
        with open(self._pipe, "rb") as pipe:
            said = pipe.read()
        if self._child is None or os.waitpid(self._child, 0)[1] != 0:
            return self._work()
        done: _T | SourceError = pickle.loads(said)  # noqa: S301  written by our own child
        if isinstance(done, SourceError):
            raise done
        return done


def _do(work: Callable[[], _T], pipe: int) -> NoReturn:
    status = 1
    try:
        try:
            done: _T | SourceError = work()
        except SourceError as error:
            done = error
        with open(pipe, "wb") as answer:
            pickle.dump(done, answer, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)  # past all that is to follow in the process that this is a copy of
