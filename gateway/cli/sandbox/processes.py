"""Gateway and mocks on one machine: what `make run` serves. The mocks are processes of their own, met over HTTP.

So is the real llama-server, if the sandbox has one.
"""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gateway.cli.sandbox.definition import Definition
from gateway.cli.sandbox.mock_process import MockProcess
from gateway.cli.sandbox.real_process import RealProcess
from gateway.config.server_settings import Server
from gateway.server.process.listen_address import check_free


@dataclass(frozen=True, slots=True)
class ServedSandbox:
    """A sandbox that serves: the gateway's URL, the control URL, the configuration file, which may be edited."""

    definition: Definition
    url: str
    control_url: str
    path: Path
    sign_in_path: str

    @property
    def sign_in_url(self) -> str:
        """A link that signs in as an admin by itself, once."""
        return self.url + self.sign_in_path

    def as_json(self) -> dict[str, object]:
        """All that a program needs to know to use it."""
        return {
            "url": self.url,
            "sign_in_url": self.sign_in_url,
            "control_url": self.control_url,
            "key": self.definition.key,
            "config": str(self.path),
            "deployments": {
                name: {
                    "base_url": self.base_url(name),
                    "openai_base_url": f"{self.base_url(name)}/v1",
                    **({"control_url": f"{self.control_url}/{name}"} if name in self.definition.mocks else {}),
                }
                for name in self.definition.document["deployments"]
            },
        }

    def base_url(self, name: str) -> str:
        """The base URL of a deployment; the OpenAI SDK's has `/v1` behind it."""
        return f"{self.url}/api/gguf/{name}"


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """What is served, and where. `with_traffic` lets a small team play on the first account's mocks."""

    definition: Definition
    port: int
    control_port: int
    with_traffic: bool = False


async def serve_sandbox(
    options: SandboxOptions, announce: Callable[[ServedSandbox], None], stop_pipe: int | None
) -> None:
    """Serve until SIGTERM or SIGINT, or the end of `stop_pipe`, a file descriptor; then stop every server.

    Raises SandboxError if one of them does not start, ListenError if a port is taken.
    """
    check_free(Server().host[0], options.port)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gguf-sandbox-")))
        mocks = [MockProcess(name, given) for name, given in options.definition.mocks.items()]
        real = [RealProcess(name, one) for name, one in options.definition.real.items()]
        servers: list[MockProcess | RealProcess] = [*mocks, *real]
        for server in servers:
            stack.push_async_callback(server.stop)
        gateway, *_ = await asyncio.gather(_gateway_with_database(folder), *(server.start() for server in servers))
        upstreams = {server.name: server.url for server in servers}
        await gateway.serve_gateway(folder, options, mocks, upstreams, announce=announce, stop_pipe=stop_pipe)


async def _gateway_with_database(folder: Path) -> Any:
    """The module `sandbox_gateway`, imported while the servers start, and its database made."""
    module: Any = await asyncio.to_thread(import_module, "gateway.cli.sandbox.sandbox_gateway")
    await module.make_database(folder)
    return module
