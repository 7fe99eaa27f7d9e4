"""One operation's transaction: what it reads and changes, on whose behalf, and what is noted of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.config.document import SourceError
from gateway.config.server_settings import Server
from gateway.core.rate_limits import RateLimit
from gateway.registry.database import sqlite_file
from gateway.registry.database.engine import database_url, engine_for, in_sentences, name_of
from gateway.registry.database.transaction import Transaction
from gateway.team import audit
from gateway.team.actor import Actor
from gateway.team.exchanges import Exchanges
from gateway.team.operation_error import Conflict, Stale
from gateway.usage.limits.arithmetic.counting import LimitStanding

_LONGEST_WAIT = 12.0  # seconds: longer than anybody waits for a turn, and then for a lock
Look = Callable[[Sequence[RateLimit]], list[LimitStanding]]  # at how limits stand; raises OSError


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """What an operation works with. `expected_version` is that of the thing as its caller last saw it, or None.

    `server` are the settings of the gateway that the database is of; the defaults where they are not known.
    """

    connection: AsyncConnection
    actor: Actor
    now: datetime
    expected_version: int | None = None
    server: Server = field(default_factory=Server)
    _transaction: Transaction | None = None
    _exchanges: Exchanges | None = None
    _look: Look | None = None

    @property
    def registry(self) -> Transaction:
        """Through which rows are changed that gateways serve from: accounts, keys and deployments."""
        if self._transaction is None:
            raise RuntimeError("nothing is changed while only looking")
        return self._transaction

    @property
    def exchanges(self) -> Exchanges:
        """What the gateway carries now. Raises Conflict where no gateway runs around this."""
        if self._exchanges is None:
            raise Conflict("Only a running gateway knows what it carries: ask it, with --server URL.")
        return self._exchanges

    async def usage_waiting_since(self) -> datetime | None:
        """Since when usage is not in the database yet; None where all is, or where no gateway runs around this."""
        return None if self._exchanges is None else await self._exchanges.usage_waiting_since()

    def look_at(self, limits: Sequence[RateLimit]) -> list[LimitStanding] | None:
        """How limits stand, in their order; None where what is counted cannot be looked at."""
        try:
            return None if self._look is None else self._look(limits)
        except OSError:
            return None

    async def note(
        self,
        action: str,
        target: str,
        *,
        account: str | None = None,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        """Note a change in the audit log: it is there exactly if the change is."""
        await audit.note(self.connection, self.actor, audit.Change(action, target, account, before, after))

    def check_version(self, current: int) -> None:
        """Raise Stale if the caller has seen another version of what it changes."""
        if self.expected_version is not None and self.expected_version != current:
            raise Stale("It was changed by somebody else since: read it again, and decide anew.")


class TeamDatabase:
    """Opens transactions on the database at a place. All raise SourceError for a database that fails.

    `exchanges` are those of the gateway around it, if one runs, and `server` its settings. `look` tells how limits
    stand.
    """

    def __init__(
        self,
        place: str | Path,
        exchanges: Exchanges | None = None,
        server: Server | None = None,
        look: Look | None = None,
    ) -> None:
        self._exchanges = exchanges
        self._look = look
        self._server = server or Server()
        url = database_url(place)
        self._name = name_of(url)
        self._reading: AsyncEngine = engine_for(url, writing=False)
        self._writing: AsyncEngine = engine_for(url, writing=True)
        self._turn = asyncio.Lock()
        self._view: AsyncConnection | None = None  # over which all looks go, if there is one
        self._under_way: set[asyncio.Future[None]] = set()
        self._is_left = False

    @asynccontextmanager
    async def view(self) -> AsyncIterator["TeamDatabase"]:
        """The same database, all of whose looks go over one connection; an SQLite file is seen as at the first of them.

        To open a connection takes longer than most of what is looked at. It is for one task, of which each look says
        for itself what is wrong with the database: what else goes wrong in it is not the database's fault.
        """
        async with AsyncExitStack() as stack:
            with in_sentences(self._name):
                stack.enter_context(self._noted())
                connection = await stack.enter_async_context(self._reading.connect())
            seen = copy(self)  # which is under way as a whole, and goes to its end where this one is left
            seen._view = connection
            yield seen

    @asynccontextmanager
    async def read(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """Look without changing anything."""
        async with self.connect() as connection:
            now = datetime.now(UTC)
            yield UnitOfWork(connection, actor, now, None, self._server, None, self._exchanges, self._look)

    @asynccontextmanager
    async def change(self, actor: Actor, expected_version: int | None = None) -> AsyncIterator[UnitOfWork]:
        """All of the block's changes or none. The revision is taken first: what is read then, nobody else changes."""
        async with self.begin() as connection:
            transaction = await Transaction.begin(connection)
            now = datetime.now(UTC)
            server, exchanges = self._server, self._exchanges
            yield UnitOfWork(connection, actor, now, expected_version, server, transaction, exchanges, self._look)
            await (transaction.note() if transaction.has_changed else transaction.leave_no_trace())

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection that reads."""
        with in_sentences(self._name), self._noted():
            if self._view is not None:
                yield self._view
                return
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes what the registry does not serve from: the revision stays."""
        with in_sentences(self._name), self._noted():
            async with self._in_turn(), self._writing.begin() as connection:
                yield connection

    @contextmanager
    def _noted(self) -> Iterator[None]:
        if self._is_left:
            raise SourceError(f"{self._name}: is left, because the gateway is shutting down")
        over = asyncio.get_running_loop().create_future()
        self._under_way.add(over)
        try:
            yield
        finally:
            self._under_way.discard(over)
            over.set_result(None)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """One after the other, as they came: of many that want its lock, SQLite lets some wait until they give up."""
        try:
            async with asyncio.timeout(sqlite_file.WRITE_PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            raise SourceError(f"{self._name}: {sqlite_file.sentence('database is locked')}") from None
        try:
            yield
        finally:
            self._turn.release()

    async def settled(self) -> None:
        """Begin nothing more, and wait until nothing is under way in it.

        Who is cancelled while the driver's thread waits for a lock is over when that has waited, too. Cancelled once
        more until then, as the HTTP server and an event loop do at their ends, it would never be: the loop would wait
        for a connection to be closed by a thread that has left it.
        """
        self._is_left = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_LONGEST_WAIT)

    async def close(self) -> None:
        """Leave the database."""
        await self._reading.dispose()
        await self._writing.dispose()
