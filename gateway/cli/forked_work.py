"""Work in a process of its own while this one goes on: what has to be loaded for it ends with it."""

import os
import pickle
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from gateway.config.document import SourceError

_T = TypeVar("_T")


class ForkedWork(Generic[_T]):
    """`work`, begun in a child. Only for a process that has one thread yet: no other lives on in a child (fork(2))."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._pipe, theirs = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            _do(work, theirs)
        os.close(theirs)

    def result(self) -> _T:
        """Wait for what has come of it. Raises SourceError if that has.

        Of a child that ended in any other way nothing is known: the work is done anew, here, where one sees why.
        """
        with open(self._pipe, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(self._child, 0)
        if status != 0:
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
