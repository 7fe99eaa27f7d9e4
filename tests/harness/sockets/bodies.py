"""What the tests of bodies share: a good request, what becomes of a body, and who asks meanwhile."""

import threading

from tests.harness import contract, scene
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

GOOD = request(scene.CHAT, key=scene.KEY, body=scene.BODY)
MIB = 1 << 20
MESSAGE_BYTES = 256 << 10  # bodies up to here are complete before the upstream hears of them


def chat_with(body: bytes | None = None, *headers: str | bytes, key: str | None = scene.KEY) -> bytes:
    """A request for a chat completion with this body, and the good key unless another is given."""
    return request(scene.CHAT, *headers, key=key, body=body)


def is_refused_and_closed(gateway: GatewayProcess, upstream: ScriptedUpstream, data: bytes, *statuses: int) -> bool:
    """Whether this is refused, the connection closed, and a request hidden behind it never executed."""
    with gateway.connect() as client:
        client.send(data + GOOD)
        response = client.read_response()
        assert contract.is_a_refusal(response, *statuses)
        assert client.is_closed()
    assert upstream.requests == []
    return True


def passes_untouched(gateway: GatewayProcess, upstream: ScriptedUpstream, body: bytes, *headers: str) -> bool:
    """Whether a body reaches the upstream as it is, with its length and Content-Type, once."""
    upstream.forget()
    assert gateway.ask(chat_with(body, *headers)).status == 200
    received = upstream.only_request
    assert received.values("Content-Length") == [str(len(body))]
    assert received.values("Transfer-Encoding") == []
    return received.body == body


class Ping:
    """Asks for /healthz all the time; `answers` came meanwhile.

    Before the slowest, the gateway worked for `worst` seconds: its own CPU time, however busy the machine is.
    """

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._client = gateway.connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = 0
        self.worst = 0.0

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            begun = self._gateway.cpu_seconds()
            assert self._client.ask(request("/healthz", method="GET")).status == 200
            self.worst = max(self.worst, self._gateway.cpu_seconds() - begun)
            self.answers += 1

    def __enter__(self) -> "Ping":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()
