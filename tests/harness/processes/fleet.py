"""The gateways of a test run: those that all cases share, and those started for one."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.processes.invariants import Invariants
from tests.harness.sockets.scripted_upstream import ScriptedUpstream

StartGateway = Callable[..., GatewayProcess]

# Where one of these is given, something is loaded before the command is: it cannot be forked from another.
_BEFORE_PYTHON = {"LD_PRELOAD", "PYTHONPATH"}


class Fleet:
    """The gateways that run now, each with its invariants; the ones borrowed for a case are stopped after it.

    `loop` is the event loop of a gateway: on "asyncio" it runs as where uvloop is not installed.
    """

    def __init__(self, folder: Path, upstream: ScriptedUpstream) -> None:
        self._folder = folder
        self._upstream = upstream
        self._numbers = itertools.count()
        self._shared: dict[tuple[str, str], tuple[GatewayProcess, Invariants]] = {}
        self._borrowed: list[tuple[GatewayProcess, Invariants | None]] = []
        self._all: list[GatewayProcess] = []
        self._without_uvloop = folder / "without-uvloop"
        self._without_uvloop.mkdir()
        (self._without_uvloop / "uvloop.py").write_text("raise ImportError('not installed')\n")

    def share(self, loop: str, config: str, environ: dict[str, str] | None = None) -> GatewayProcess:
        """The gateway of this loop and configuration, which serves until the end of all cases."""
        if (loop, config) not in self._shared:
            gateway = self._launch(loop, config, (), environ).wait_until_serving()
            assert gateway.is_on_uvloop() == (loop == "uvloop")
            self._shared[(loop, config)] = (gateway, Invariants(gateway, self._upstream))
        return self._shared[(loop, config)][0]

    def borrow(
        self,
        loop: str,
        config: str,
        arguments: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
        *,
        serves: bool = True,
        mode: int = 0o600,
        prefix: tuple[str, ...] = (),
    ) -> GatewayProcess:
        """A gateway for one case; with `serves=False` one that is expected not to start. `mode`: of its file."""
        gateway = self._launch(loop, config, arguments, environ, mode=mode, prefix=prefix)
        if serves:
            gateway.wait_until_serving()
        self._borrowed.append((gateway, Invariants(gateway, self._upstream) if serves else None))
        return gateway

    def check(self) -> None:
        """Check every gateway; stop the borrowed ones."""
        borrowed, self._borrowed = self._borrowed, []
        try:
            for invariants in (*self._invariants(), *(invariants for _, invariants in borrowed if invariants)):
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
        for invariants in self._invariants():
            invariants.check_log()

    def _invariants(self) -> Iterator[Invariants]:
        return (invariants for _, invariants in self._shared.values())

    def _launch(
        self,
        loop: str,
        config: str,
        arguments: tuple[str, ...],
        environ: dict[str, str] | None,
        *,
        mode: int = 0o600,
        prefix: tuple[str, ...] = (),
    ) -> GatewayProcess:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        path = folder / "gateway.yaml"
        path.write_text(config)
        path.chmod(mode)
        forked = not prefix and _BEFORE_PYTHON.isdisjoint(environ or ())
        gateway = GatewayProcess(path, arguments, self._environ(loop, environ or {}), prefix, forked=forked)
        self._all.append(gateway)
        return gateway

    def _environ(self, loop: str, environ: dict[str, str]) -> dict[str, str]:
        without = str(self._without_uvloop) if loop == "asyncio" else None
        paths = filter(None, (without, environ.get("PYTHONPATH"), os.environ.get("PYTHONPATH")))
        return {**environ, "PYTHONPATH": os.pathsep.join(paths)}
