"""What is noted of one request on its way through: the line in the log, the row on the status page."""

from enum import StrEnum
from time import monotonic
from typing import Protocol

from aiohttp import web

from gateway.core.answer.excerpt import Excerpt
from gateway.core.answer.usage import Usage
from gateway.core.http.cors import NO_CORS, CorsHeaders
from gateway.core.rate_limits import Allotment


class Ending(StrEnum):
    """How an exchange ended, seen from the gateway."""

    FINISHED = "finished"  # the whole answer was passed on
    REFUSED = "refused"  # the gateway answered with an error of its own
    CLIENT_LEFT = "client_left"  # the client closed before the answer was whole
    UPSTREAM_CUT = "upstream_cut"  # the model server broke off; the client was shown so
    TIMED_OUT = "timed_out"  # silence beyond the limit, after the answer had begun
    CLIENT_STALLED = "client_stalled"  # the client read nothing for as long as the limit on silence
    SHUTDOWN = "shutdown"  # cut when the gateway's time to drain was over
    ENDED = "ended"  # an admin ended it, from the page or by the admin API
    REVOKED = "revoked"  # its key was revoked with what runs on it
    FAULT = "fault"  # an internal error of the gateway


# Named once: Python 3.11 looks up a member of an enum far more slowly than a global, and this one in every request.
FINISHED = Ending.FINISHED


class TakenPlace(Protocol):
    """A place at the upstream, of which it is known in the end what it was used for."""

    def settle(self, tokens: int | None) -> None:
        """Note how many tokens were served; None where the answer does not say."""


class Exchange:
    """One request and its answer. Times are seconds of the monotonic clock, sizes bytes of body.

    `client` is the client's address, noted where no good key says who it is; `path` names, masked, what was asked for
    where there is no endpoint. `has_own_id`: its id is of the gateway's making, and no client's words.
    """

    __slots__ = (
        *("account", "allotment", "answer_lines", "body", "bytes_in", "bytes_out", "cause", "client", "cors"),
        *("deployment", "ended_at", "ending", "endpoint", "excerpt", "first_byte_at", "has_own_id", "id", "key"),
        *("path", "person", "place", "reason", "sent_at", "started", "status", "ticket", "usage"),
    )

    def __init__(self, request_id: str) -> None:
        self.id = request_id
        self.has_own_id = False
        self.started = self.ended_at = monotonic()  # the latter until it is over
        self.account: str | None = None
        self.key: str | None = None
        self.person: str | None = None  # whom the key belongs to
        self.allotment: Allotment | None = None  # what it has taken of its limits, until that is settled
        self.client: str | None = None
        self.deployment: str | None = None
        self.endpoint: str | None = None
        self.status: int | None = None
        self.bytes_in = self.bytes_out = 0
        self.sent_at: float | None = None  # when it got its place at the upstream
        self.place: TakenPlace | None = None  # that it had; none for what takes no slot
        self.ticket = 0  # its number in line, if it waits or has waited there
        self.first_byte_at: float | None = None
        self.ending: Ending = FINISHED
        self.usage: Usage | None = None
        self.body: bytes | None = None  # of an answer that came whole, for its usage
        self.excerpt: Excerpt | None = None  # of any other answer
        self.cors: CorsHeaders = NO_CORS  # of its answer
        self.answer_lines = b""  # further lines for the head of its answer, each with its CRLF
        self.reason = self.cause = self.path = ""


EXCHANGE = web.RequestKey("exchange", Exchange)
