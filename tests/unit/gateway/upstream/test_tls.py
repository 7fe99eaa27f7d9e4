"""Whom an upstream's certificate is verified against: a `ca_file` that is replaced while the gateway serves."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme

from gateway.core.deployment import Deployment
from gateway.proxy.upstream.address import Address
from gateway.proxy.upstream.connection_pools import ConnectionPools
from gateway.proxy.upstream.response_head import UpstreamError
from gateway.proxy.upstream.tls import TlsConnection, Trust
from tests.harness.pools import ask, pool_of
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import certified

OLD, NEW = trustme.CA(), trustme.CA()


class TlsServer:
    """Listens over TLS. `renew` gives it a certificate of another authority."""

    def __init__(self) -> None:
        self._context = certified(OLD, "127.0.0.1")
        self._upstream = ScriptedUpstream(tls=self._context)
        self.url = self._upstream.url
        self.close = self._upstream.close

    def renew(self) -> None:
        NEW.issue_cert("127.0.0.1").configure_cert(self._context)


@pytest.fixture
async def server() -> AsyncIterator[TlsServer]:
    one = TlsServer()
    yield one
    for _ in range(5):  # turns of the event loop in which connections that were aborted are closed
        await asyncio.sleep(0)
    one.close()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    OLD.cert_pem.write_to_path(str(path))
    return path


async def connect(address: Address) -> None:
    (await address.open(5)).abort()


async def test_a_ca_file_that_is_replaced_counts_from_the_next_connection_on(server: TlsServer, ca_file: Path) -> None:
    address = Address(server.url, Trust(str(ca_file)))
    await connect(address)
    server.renew()
    with pytest.raises(UpstreamError, match="its certificate is not trusted"):
        await connect(address)
    NEW.cert_pem.write_to_path(str(ca_file))
    await connect(address)


async def test_authorities_are_read_once_for_all_upstreams_and_beside_the_loop(
    server: TlsServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[threading.Thread] = []
    read = ssl.create_default_context

    def noted(cafile: str | None) -> ssl.SSLContext:
        readers.append(threading.current_thread())
        return read(cafile=cafile)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    pools = ConnectionPools()
    several = [Deployment(name, "acme", server.url, ca_file=str(ca_file)) for name in ("a", "b", "c")]
    for connection in await asyncio.gather(*(pools.of(one).connect_apart() for one in several)):
        connection.abort()
    assert len(readers) == 1
    assert readers[0] is not threading.main_thread()


SPOILT: dict[str, Callable[[Path], object]] = {
    "no PEM": lambda path: path.write_text("no certificate"),
    "empty": lambda path: path.write_text(""),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_a_ca_file_that_turns_bad_changes_nothing_and_is_said_once(
    spoil: Callable[[Path], object], server: TlsServer, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = Address(server.url, Trust(str(ca_file)))
    await connect(address)
    spoil(ca_file)
    await connect(address)
    await connect(address)
    said = [record.getMessage() for record in caplog.records if record.name == "gateway.upstream"]
    assert len(said) == 1
    assert said[0].startswith(f"{ca_file}: cannot be used")
    assert said[0].endswith("keeping the previous certificates")
    NEW.cert_pem.write_to_path(str(ca_file))
    server.renew()
    await connect(address)


async def test_a_ca_file_that_was_never_good_is_said_to_be_the_cause(server: TlsServer, tmp_path: Path) -> None:
    address = Address(server.url, Trust(str(tmp_path / "ca.pem")))
    with pytest.raises(UpstreamError, match="its ca_file cannot be used: No such file or directory"):
        await connect(address)
    OLD.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    await connect(address)


async def test_authorities_that_no_thread_reads_are_read_the_next_time(
    server: TlsServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    address = Address(server.url, Trust(str(ca_file)))
    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", refuse)
        with pytest.raises(UpstreamError, match="no thread could be started to read whom to trust"):
            await connect(address)
    await connect(address)


async def test_a_connection_that_is_kept_does_not_look_at_the_file(
    server: TlsServer, ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = pool_of(Deployment("demo", "acme", server.url, ca_file=str(ca_file)))
    connection = await ask(upstream)
    ca_file.unlink()
    assert await ask(upstream) is connection
    assert caplog.records == []
    upstream.close()


async def test_a_descriptor_given_up_as_the_handshake_ends_is_not_used_on(
    server: TlsServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop goes on to say goodbye to the server: a socket closed under it would be another connection's."""
    plain = ScriptedUpstream()
    made = TlsConnection.connection_made
    asking: list[asyncio.Task[None]] = []

    def give_up(connection: TlsConnection, transport: asyncio.BaseTransport) -> None:
        made(connection, transport)
        asking.pop().cancel()

    monkeypatch.setattr(TlsConnection, "connection_made", give_up)
    for _ in range(5):
        asking.append(task := asyncio.create_task(connect(Address(server.url, Trust(str(ca_file))))))
        with pytest.raises(asyncio.CancelledError):
            await task
        await connect(Address(plain.url))
    plain.close()
