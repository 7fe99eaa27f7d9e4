"""A real provider of OpenID Connect, run by Node."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness.pages.scripted_provider import CLIENT_ID, CLIENT_SECRET
from tests.harness.patience import PATIENCE
from tests.harness.processes.foreign_packages import install

_PACKAGE = "oidc-provider@9.13.3"
_SCRIPT = Path(__file__).with_name("oidc_provider.mjs")


class NodeProvider:
    """The running provider."""

    def __init__(self, process: asyncio.subprocess.Process, issuer: str) -> None:
        self.issuer = issuer
        self._process = process

    async def knows(self, gateway: str, people: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell it where the gateway is, and its people: their claims by their `sub`."""
        settings = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": [f"{gateway}/sign-in/oidc/callback"],
            "post_logout_redirect_uris": [f"{gateway}/sign-in"],
            "people": people,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(settings).encode() + b"\n")
        assert await _line(self._process) == "ready"


@asynccontextmanager
async def node_provider(pem: Path | None = None) -> AsyncIterator[NodeProvider]:
    """It, for as long as the block lasts; over TLS with the key and certificates of `pem`.

    Skips where there is no Node, or no registry.
    """
    folder = await asyncio.to_thread(install, "npm", [_PACKAGE])
    script = folder / _SCRIPT.name
    script.write_text(_SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")  # Node looks for packages beside it
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(script), *filter(None, [pem]), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield NodeProvider(process, await _line(process))
    finally:
        process.kill()
        await process.communicate()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip()
