"""What holds after every case, whatever it was (docs: the gateway never crashes, leaks or forgets)."""

import re
import time

from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

_COMPLAINTS = re.compile(r"Traceback|Unclosed|never retrieved|never awaited|\"traceback\"|Unhandled|ResourceWarning")


class Invariants:
    """Checks one gateway again and again, each time what is new since the last."""

    def __init__(self, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._line = len(gateway.log.lines)
        seen = gateway.descriptors()
        self._others = seen.others
        self._fixed = seen.others + max(0, seen.upstreams - upstream.open)  # the event loop has connections to itself

    def check(self) -> None:
        """Fail unless all of them hold."""
        gateway = self._gateway
        if not gateway.clients and gateway.is_alive:
            return  # it had no part in this case
        for client in gateway.clients:
            client.close()
        if gateway.is_alive:
            self._serves()
            self._has_let_go()
        self.check_log()
        self._answers_are_clean()

    def _serves(self) -> None:
        """G-a: the next good request, and at the cost of one: nothing of this case keeps the processor busy."""
        used = self._gateway.cpu_seconds()
        assert self._gateway.ask(request("/api/gguf/never/api/hello", method="GET")).status == 204
        assert self._gateway.cpu_seconds() - used < 1

    def check_log(self) -> None:
        """G-b and G-c, and G-d as the log sees it, of what was written since the last look.

        Lines come in batches: a case may answer for the one before. What a gateway wrote is looked at once more
        after its end.
        """
        text = self._gateway.log.since(self._line)
        self._line = len(self._gateway.log.lines)
        complaint = _COMPLAINTS.search(text)
        assert complaint is None, text[max(0, complaint.start() - 2000) : complaint.end() + 3000]
        for secret in (*scene.SECRETS, scene.PROMPT):
            assert secret not in text, f"{secret} in the log:\n{text}"
        assert re.search(r'"reason": ?"fault"', text) is None, text

    def _answers_are_clean(self) -> None:
        """G-b and G-d, of every byte that clients received."""
        clients, responses = self._gateway.clients, self._gateway.responses
        for received in (bytes(client.received) for client in clients):
            assert b"The gateway failed on this request" not in received  # an upstream's own 500 may pass
            for secret in scene.SECRETS:
                assert secret.encode() not in received, received[:2000]
        for response in responses:
            assert response.header("x-request-id"), response.head
            assert response.header("Server") == "gguf-gateway", response.head
        clients.clear()
        responses.clear()

    def _has_let_go(self) -> None:
        """G-f: no client's connection is left, no descriptor leaked, nothing under way upstream."""
        begun = time.monotonic()
        while not self._is_free():
            time.sleep(0.002)  # no event tells of another process's descriptors
            if time.monotonic() - begun > 0.1:
                seen = self._gateway.descriptors()
                if seen.clients == 0 and seen.others <= self._others and self._upstream.is_quiet():
                    return
                left = f"{seen}, {self._others} others at first, {self._upstream.busy} exchanges under way upstream"
                assert time.monotonic() - begun < PATIENCE, left

    def _is_free(self) -> bool:
        """The quick answer, no by mistake if it has connections to other upstreams."""
        return self._upstream.is_quiet() and self._gateway.count_descriptors() <= self._fixed + self._upstream.open
