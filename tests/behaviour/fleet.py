"""The gateways of a test run: those that all cases share, and those started for one."""

import itertools
from collections.abc import Callable
from pathlib import Path

from tests.behaviour.gateway_process import GatewayProcess
from tests.behaviour.invariants import Invariants
from tests.behaviour.scripted_upstream import ScriptedUpstream

StartGateway = Callable[..., GatewayProcess]


class Fleet:
    """The gateways that run now, each with its invariants; the ones borrowed for a case are stopped after it."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream) -> None:
        self._folder = folder
        self._upstream = upstream
        self._numbers = itertools.count()
        self._shared: list[Invariants] = []
        self._borrowed: list[tuple[GatewayProcess, Invariants | None]] = []
        self._all: list[GatewayProcess] = []

    def share(self, config: str, environ: dict[str, str] | None = None) -> GatewayProcess:
        """A gateway that serves until the end of all cases."""
        gateway = self._launch(config, (), environ).wait_until_serving()
        self._shared.append(Invariants(gateway, self._upstream))
        return gateway

    def borrow(
        self,
        config: str,
        arguments: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
        *,
        serves: bool = True,
        mode: int = 0o600,
        prefix: tuple[str, ...] = (),
    ) -> GatewayProcess:
        """A gateway for one case; with `serves=False` one that is expected not to start. `mode`: of its file."""
        gateway = self._launch(config, arguments, environ, mode, prefix)
        if serves:
            gateway.wait_until_serving()
        self._borrowed.append((gateway, Invariants(gateway, self._upstream) if serves else None))
        return gateway

    def check(self) -> None:
        """Check every gateway; stop the borrowed ones."""
        borrowed, self._borrowed = self._borrowed, []
        try:
            for invariants in (*self._shared, *(invariants for _, invariants in borrowed if invariants)):
                invariants.check()
        finally:
            for gateway, _ in borrowed:
                gateway.stop()
        for _, after in borrowed:
            if after is not None:
                after.check_log()

    def close(self) -> None:
        """Stop all that still run."""
        for gateway in self._all:
            gateway.stop()
        for invariants in self._shared:
            invariants.check_log()

    def _launch(
        self,
        config: str,
        arguments: tuple[str, ...],
        environ: dict[str, str] | None,
        mode: int = 0o600,
        prefix: tuple[str, ...] = (),
    ) -> GatewayProcess:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        path = folder / "gateway.yaml"
        path.write_text(config)
        path.chmod(mode)
        gateway = GatewayProcess(path, arguments, environ, prefix)
        self._all.append(gateway)
        return gateway
