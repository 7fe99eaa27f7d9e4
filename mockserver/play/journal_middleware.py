"""The middlewares and the signal handler that write requests and responses into the journal."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from mockserver.core.aiohttp_internals import call_on_chunk
from mockserver.core.httplib.content import RefusedContent, awaits_continue, read_body
from mockserver.core.listening.resetting import reset
from mockserver.play.journal import ExchangeEnd, Journal, JournalEntry

JOURNAL = web.AppKey("journal", Journal)
JOURNAL_ENTRY = web.RequestKey("journal_entry", JournalEntry)


@web.middleware
async def record_exchange(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Record the exchange and how it ended; the answer is sent from here, to know that it was."""
    journal = request.app[JOURNAL]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
    entry = request[JOURNAL_ENTRY] = journal.open_entry(request.method, request.path_qs, headers)
    call_on_chunk(request.writer, partial(_record_chunk, journal, entry))
    ended = ExchangeEnd.CUT
    try:
        response = await handler(request)
        entry.status = response.status
        await response.prepare(request)
        await response.write_eof()
        ended = ExchangeEnd.FINISHED
    except asyncio.CancelledError:
        ended = ExchangeEnd.ABORTED
        raise
    except ConnectionError as error:
        ended = ExchangeEnd.ABORTED
        # aiohttp takes this for a fault of the handler and logs it; being cancelled comes to the same, quietly.
        raise asyncio.CancelledError from error
    finally:
        entry.close(ended, request.writer.output_size)
        journal.notify()
    return response


async def _record_chunk(journal: Journal, entry: JournalEntry, chunk: object) -> None:
    """Called by aiohttp before each chunk of an answer's body."""
    if isinstance(chunk, bytes | bytearray | memoryview):
        journal.record_response_chunk(entry, bytes(chunk))


async def record_response_head(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: status and headers count from the moment they are sent, not when a stream is over."""
    entry = request[JOURNAL_ENTRY]
    entry.status = response.status
    entry.answer_headers = list(response.headers.items())
    request.app[JOURNAL].notify()


def record_raw_head(request: web.Request, status: int, headers: list[tuple[str, str]]) -> None:
    """The same for a response that aiohttp does not write; an exchange without a record has none."""
    entry = request.get(JOURNAL_ENTRY)
    if entry is not None:
        entry.status, entry.answer_headers = status, headers


def record_raw_piece(request: web.Request, data: bytes) -> None:
    """A piece of the body of such a response."""
    entry = request.get(JOURNAL_ENTRY)
    if entry is not None:
        request.app[JOURNAL].record_response_chunk(entry, data)


@web.middleware
async def record_request_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the body whatever follows, so that the record has it even of a refused request.

    One that the client holds back comes only when the request is let in, and one that is broken never does.
    """
    if not awaits_continue(request):
        await record_body(request)
    return await handler(request)


async def record_body(request: web.Request) -> None:
    """Record the body of a request."""
    with suppress(RefusedContent):
        request.app[JOURNAL].record_request_body(request[JOURNAL_ENTRY], await read_body(request))


def abort_response(request: web.Request, *, by_reset: bool = False) -> NoReturn:
    """End the connection after the bytes written so far, by FIN or by RST, and the handler with it."""
    entry = request[JOURNAL_ENTRY]
    entry.close(ExchangeEnd.CUT, request.writer.output_size)
    transport = request.transport
    if transport is not None and by_reset:
        reset(transport)
    elif transport is not None:
        transport.close()
    raise ConnectionResetError("cut by the mock")
