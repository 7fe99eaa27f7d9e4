"""Gateway and mocks on one machine: what `make run` serves. The mocks are processes of their own, met over HTTP."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from gateway.config.settings import AccountEntry, Server
from gateway.core.cors import LOOPBACK_ORIGINS
from gateway.registry.yaml_file import YamlRegistry, read_settings
from gateway.server.process.listen_address import check_free
from gateway.server.process.run import serve

DEFINITION = Path(__file__).with_name("sandbox.yaml")
_DRAIN_SECONDS = 0.5  # Ctrl-C ends everything within 2 s
_STOP_SECONDS = 1.0
_READY = "server is listening on "


class SandboxError(Exception):
    """The sandbox cannot start. The message is one sentence for a terminal."""


class Played(BaseModel):
    """A deployment of the sandbox: what a gateway's configuration says of one, and what its mock plays."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    account: str
    about: str
    status: str = "auto"
    mock: dict[str, str | int | float] = Field(default_factory=dict)


class Definition(BaseModel):
    """The sandbox's definition, `config/sandbox.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    accounts: dict[str, AccountEntry]
    deployments: dict[str, Played]

    @property
    def key(self) -> str:
        """The text of the first key."""
        return next(key.key for account in self.accounts.values() for key in account.keys if key.key is not None)


def read_definition(path: Path = DEFINITION) -> Definition:
    """The definition, as it is shipped or as a file of the same form says."""
    return Definition.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


async def serve_sandbox(definition: Definition, port: int, announce: Callable[[str, Path], None]) -> None:
    """Serve until SIGTERM or SIGINT, then stop every mock.

    `announce` gets the gateway's URL and its configuration file, which may be edited while it serves.
    Raises SandboxError if a mock does not start, ListenError if the port is taken.
    """
    check_free(Server().host[0], port)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-sandbox-")))
        mocks = [_Mock(played.mock) for played in definition.deployments.values()]
        for mock in mocks:
            stack.push_async_callback(mock.stop)
        urls = await asyncio.gather(*(mock.start() for mock in mocks))
        path = folder / "gateway.yaml"
        path.touch(mode=0o600)
        path.write_text(_configuration(definition, urls, port), encoding="utf-8")
        await serve(read_settings(path).server, YamlRegistry(path), lambda reached: announce(reached.urls[0], path))


def _configuration(definition: Definition, urls: list[str], port: int) -> str:
    """A gateway's configuration in which every deployment points at its mock."""
    deployments = {
        name: {"account": played.account, "upstream": url, "status": played.status}
        for (name, played), url in zip(definition.deployments.items(), urls, strict=True)
    }
    document: dict[str, Any] = {
        "server": {
            "port": port,
            "timeouts": {"drain": _DRAIN_SECONDS},
            "probes": {"interval": 1.0},
            "cors_origins": [*LOOPBACK_ORIGINS],
        },
        "accounts": {
            name: {"keys": [key.model_dump(exclude_none=True) for key in account.keys]}
            for name, account in definition.accounts.items()
        },
        "deployments": deployments,
    }
    return yaml.safe_dump(document, sort_keys=False)


class _Mock:
    """One `mock-llama-server` process. It ends with us even if we are killed: its standard input closes."""

    def __init__(self, options: dict[str, str | int | float]) -> None:
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._command = [sys.executable, "-m", "mockserver", "--port", "0", "--stop-with-stdin", *flags]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it; returns its URL once it is there."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is ours to handle: mocks end after the gateway
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        if process.stdout is None or process.stderr is None:
            raise SandboxError("A mock llama-server has no output to read.")
        async for line in process.stdout:
            _, found, rest = line.decode().partition(_READY)
            if found:
                return rest.split()[0]
        said = (await process.stderr.read()).decode().strip().splitlines()
        raise SandboxError(f"A mock llama-server did not start: {said[-1] if said else 'it said nothing'}")

    async def stop(self) -> None:
        """Terminate it; kill it if that does not help."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
