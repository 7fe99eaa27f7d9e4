"""What is noted of one request on its way through: the line in the log, the row on the status page."""

from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic

from aiohttp import web

from gateway.usage import Usage


class Ending(StrEnum):
    """How an exchange ended, seen from the gateway."""

    FINISHED = "finished"  # the whole answer was passed on
    REFUSED = "refused"  # the gateway answered with an error of its own
    CLIENT_LEFT = "client_left"  # the client closed before the answer was whole
    UPSTREAM_CUT = "upstream_cut"  # the model server broke off; the client was shown so
    TIMED_OUT = "timed_out"  # silence beyond the limit, after the answer had begun
    CLIENT_STALLED = "client_stalled"  # the client read nothing for as long as the limit on silence
    SHUTDOWN = "shutdown"  # cut when the gateway's time to drain was over
    FAULT = "fault"  # an internal error of the gateway


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Times are seconds of the monotonic clock, sizes bytes of body."""

    id: str
    started: float = field(default_factory=monotonic)
    account: str | None = None
    key: str | None = None
    deployment: str | None = None
    endpoint: str | None = None
    status: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte_at: float | None = None
    ending: Ending = Ending.FINISHED
    usage: Usage | None = None
    reason: str = ""
    cause: str = ""


EXCHANGE = web.RequestKey("exchange", Exchange)
