"""One gateway before upstreams of every kind, each a deployment of its own, for tables U, C and the rest of them."""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.harness import scene
from tests.harness.sockets.scripted_upstream import ScriptedUpstream, stop_listening
from tests.harness.sockets.upstream_visit import Script, Visit
from tests.harness.sockets.wire_client import request

BRISK = 0.3  # seconds: limits that are to be reached
STEADY = 2.0  # seconds: limits that are not to be reached in the middle of a stream, however busy the machine is
PING = 0.1  # seconds of silence before `pinged` is kept alive

EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chat(
    deployment: str = "demo",
    *headers: str | bytes,
    path: str = "/v1/chat/completions",
    key: str | None = scene.KEY,
    body: bytes | None = scene.BODY,
    method: str = "POST",
) -> bytes:
    """A request to a deployment, a good one if nothing else is said."""
    return request(f"/api/gguf/{deployment}{path}", *headers, method=method, key=key, body=body)


def says(*said: bytes, then: Callable[[Visit], object] = lambda _: None) -> Script:
    """A script: read all of the request, send these bytes, each piece as a segment of its own, and `then` do that."""

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.send(*said)
        then(visit)

    return script


def until_left(left: threading.Event) -> Script:
    """A script: read nothing of the body, answer nothing, and set `left` once the gateway has closed the connection."""

    def script(visit: Visit) -> None:
        if visit.wait_until_left():
            left.set()

    return script


def breaks_off(visit: Visit) -> None:
    """A script: a stream that ends behind its first event."""
    visit.read_body()
    visit.begin_stream()
    visit.chunk(EVENT)
    visit.close()


class Slammer:
    """Accepts a connection and closes it at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.close()

    def close(self) -> None:
        """Stop listening."""
        stop_listening(self._listener)


class Blackhole:
    """An address whose SYNs are dropped: its queue of connections is full, and nobody accepts one."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._filling = [self._knock() for _ in range(4)]

    def _knock(self) -> socket.socket:
        knocking = socket.socket()
        knocking.setblocking(False)
        knocking.connect_ex(self._listener.getsockname())
        return knocking

    def close(self) -> None:
        """Let the address go."""
        for knocking in self._filling:
            knocking.close()
        self._listener.close()


def closed_port() -> socket.socket:
    """A port that is taken, and refuses connections for as long as the socket is kept."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


def certified(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's TLS with a certificate for `name`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@dataclass
class Stage:
    """The upstreams around the scripted one that all gateways share, and the gateway's configuration for them all."""

    folder: Path
    upstream: ScriptedUpstream
    slammer: Slammer = field(default_factory=Slammer)
    blackhole: Blackhole = field(default_factory=Blackhole)
    closed: socket.socket = field(default_factory=closed_port)

    def __post_init__(self) -> None:
        authority = trustme.CA()
        self.ca_file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.tls = ScriptedUpstream(tls=certified(authority, "127.0.0.1"))
        self.misnamed = ScriptedUpstream(tls=certified(authority, "another.test"))
        self.unix = ScriptedUpstream(unix=str(self.folder / "llama.sock"))

    def config(self) -> str:
        """The whole configuration file."""
        plain = self.upstream.url
        verified = f'ca_file: "{self.ca_file}"'
        rows = {
            "brisk": f"upstream: {plain}, timeouts: {{first_byte: {BRISK}, silence: {BRISK}}}",
            "steady": f"upstream: {plain}, timeouts: {{silence: {STEADY}}}",
            "narrow": f"upstream: {plain}, limits: {{connections: 1, waiting: 2}}",
            "single": f"upstream: {plain}, limits: {{connections: 1, waiting: 0}}",
            "hasty": f"upstream: {plain}, limits: {{connections: 1, waiting: 8}}, timeouts: {{queue: {BRISK}}}",
            "pair": f"upstream: {plain}, limits: {{connections: 2, waiting: 256}}",
            "pinged": f"upstream: {plain}, ping: {PING}",
            "pinged-late": f"upstream: {plain}, ping: {STEADY}",
            "pinged-steady": f"upstream: {plain}, ping: {PING}, timeouts: {{silence: {STEADY}}}",
            "closed": f"upstream: http://127.0.0.1:{self.closed.getsockname()[1]}",
            "blackhole": f"upstream: {self.blackhole.url}, timeouts: {{connect: {BRISK}}}",
            "nameless": f"upstream: http://nowhere.invalid, timeouts: {{connect: {BRISK}}}",
            "longlabel": f"upstream: http://{'l' * 70}.test",
            "slammer": f"upstream: {self.slammer.url}",
            "tls": f"upstream: {self.tls.url}, {verified}",
            "tls-stranger": f"upstream: {self.tls.url}",
            "tls-misnamed": f"upstream: {self.misnamed.url}, {verified}",
            "tls-to-plain": f"upstream: {plain.replace('http:', 'https:')}, timeouts: {{connect: {BRISK}}}",
            "plain-to-tls": f"upstream: {self.tls.url.replace('https:', 'http:')}",
            "unix": f'upstream: "{self.unix.url}"',
            "unix-gone": f'upstream: "{self.unix.url}.gone"',
        }
        further = "".join(f"  {name}: {{account: acme, status: ready, {row}}}\n" for name, row in rows.items())
        return scene.config(plain, "probes: {interval: 60}, timeouts: {connect: 60}").rstrip() + "\n" + further

    def close(self) -> None:
        """Stop listening, everywhere but at the scripted upstream."""
        for listening in (self.slammer, self.blackhole, self.closed, self.tls, self.misnamed, self.unix):
            listening.close()
