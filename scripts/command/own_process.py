"""The process of a command: how it ends, and how many files it may open."""

import resource
import signal
import sys

_TERMINATED = 128 + signal.SIGTERM


def end_in_order_at_sigterm() -> None:
    """Leave by an exception, as at a Ctrl-C, so that what was started is ended, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))


def open_as_many_files_as_may_be() -> None:
    """Raise the limit on open files to the highest that there is for this process."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
