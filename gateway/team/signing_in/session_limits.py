"""When a session ends by itself. Apart from sessions: a gateway knows it before anybody signs in."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """When a session ends by itself: after so long without a request, and after so long in any case."""

    idle: timedelta = timedelta(hours=12)
    longest: timedelta = timedelta(days=30)
