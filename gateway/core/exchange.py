"""What is noted of one request on its way through: the line in the log, the row on the status page."""

from enum import StrEnum
from time import monotonic

from aiohttp import web

from gateway.core.excerpt import Excerpt
from gateway.core.http.cors import NO_CORS, CorsHeaders
from gateway.core.usage import Usage


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


class Exchange:
    """One request and its answer. Times are seconds of the monotonic clock, sizes bytes of body.

    `client` is the client's address, noted where no good key says who it is.
    """

    # Defaults on the class: an exchange sets those it needs, for less than it costs to set them all.
    account: str | None = None
    key: str | None = None
    client: str | None = None
    deployment: str | None = None
    endpoint: str | None = None
    status: int | None = None
    bytes_in = 0
    bytes_out = 0
    first_byte_at: float | None = None
    ending = Ending.FINISHED
    usage: Usage | None = None
    excerpt: Excerpt | None = None  # of the answer, once one is expected
    cors: CorsHeaders = NO_CORS  # of its answer
    reason = ""
    cause = ""

    def __init__(self, request_id: str) -> None:
        self.id = request_id
        self.started = monotonic()


EXCHANGE = web.RequestKey("exchange", Exchange)
