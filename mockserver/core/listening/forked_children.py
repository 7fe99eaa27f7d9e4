"""Keeps the mock's sockets, and a sandbox's pipe, from the children that the process forks off.

A port is not closed, a client does not see its connection end, nor a gateway that its caller has ended, while a child
has the socket or the pipe as well.
"""

import os
from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet


class DescriptorOwner(Protocol):
    """What has sockets or pipes that are of no use to a child."""

    def descriptors(self) -> Iterator[int]:
        """The numbers of those that are open now."""
        ...


_OWNERS: "WeakSet[DescriptorOwner]" = WeakSet()


def keep_from_children(owner: DescriptorOwner) -> None:
    """Have a child lose what this one owns at the time of the fork."""
    _OWNERS.add(owner)


def _lose() -> None:
    """Put nothing in the place of each. Closed, its number would become another file's, for the object to close."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for owner in _OWNERS:
        for descriptor in owner.descriptors():
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_lose)
