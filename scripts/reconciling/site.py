"""A gateway with a database before a model server, and what both of them counted."""

import asyncio
import re
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from scripts.benchmark.process import Process
from scripts.reconciling.mixed_requests import Ask

_BASE = "/api/gguf/chat"
_CONFIG = """
server: {port: 0, log: {format: json}, metrics: everyone, limits: {waiting: 4096}}
database: sqlite+aiosqlite:///gateway.db
"""
_REGISTRY = """
accounts: {acme: {keys: [{name: main, key: %s}]}}
deployments: {chat: {account: acme, upstream: "%s", endpoints: [openai, anthropic, native]}}
"""
_SUMS = (
    "SELECT sum(requests), sum(tokens_in), sum(tokens_cached), sum(tokens_out), sum(tokens_counted) FROM usage_hours"
)
_PATIENCE = 60.0  # seconds


class Tokens(NamedTuple):
    """Tokens read that were not cached, those that were, and those written."""

    read: int
    cached: int
    written: int

    def __sub__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(mine - its for mine, its in zip(self, other, strict=True)))


class Ledger(NamedTuple):
    """The ledger's sums over all that was asked; `counted` are those of the tokens that were not stated."""

    requests: int
    tokens: Tokens
    counted: int


class Site:
    """A gateway that serves the model server at `upstream`. Made by `open_site`."""

    def __init__(self, folder: Path, port: int, key: str, upstream: str, client: aiohttp.ClientSession) -> None:
        self._database = folder / "gateway.db"
        self._url = f"http://127.0.0.1:{port}{_BASE}"
        self._key = key
        self._upstream = upstream
        self._client = client

    async def ask(self, asked: Ask) -> int:
        """The status of the answer, once it has been read as far as its client wants to."""
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        async with self._client.post(self._url + asked.path, data=asked.data, headers=headers) as answer:
            if asked.events is None:
                await answer.read()
                return answer.status
            seen = 0
            async for line in answer.content:
                seen += line.startswith(b"data:")
                if seen >= asked.events:
                    break
            answer.close()
            return answer.status

    async def served(self) -> Tokens:
        """What the model server has counted, once it does nothing any more."""
        while True:
            async with self._client.get(f"{self._upstream}/metrics") as answer:
                text = await answer.text()
            found = dict(re.findall(r"^llamacpp:(\w+) (\S+)$", text, re.MULTILINE))
            if float(found["requests_processing"]) == float(found["requests_deferred"]) == 0:
                names = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total")
                return Tokens(*(int(float(found[name])) for name in names))
            await asyncio.sleep(0.1)  # no event tells of another process

    async def kept(self, requests: int) -> Ledger:
        """The ledger's sums, once they are over so many requests."""
        until = time.monotonic() + _PATIENCE
        while True:
            with closing(sqlite3.connect(self._database)) as database:
                row = [number or 0 for number in database.execute(_SUMS).fetchone()]
            if row[0] >= requests or time.monotonic() > until:
                return Ledger(row[0], Tokens(row[1] - row[2], row[2], row[3]), row[4])
            await asyncio.sleep(0.1)


@asynccontextmanager
async def open_site(folder: Path, upstream: str) -> AsyncIterator[Site]:
    """A gateway before the model server at a URL, which has to be ready."""
    key = f"gw_{secrets.token_hex(24)}"
    registry, config = folder / "registry.yaml", folder / "gateway.yaml"
    for path, text in ((registry, _REGISTRY % (key, upstream)), (config, _CONFIG)):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    command = (sys.executable, "-m", "gateway")
    filled = (*command, "import", str(registry), "--config", str(config))
    await asyncio.to_thread(subprocess.run, filled, check=True, stdout=subprocess.DEVNULL)
    with _running((*command, "serve", "--config", str(config)), folder / "gateway.log") as gateway:
        port = int(gateway.wait_for(r"serving on http://[^\s\"]+:(\d+)"))
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as client:
            yield Site(folder, port, key, upstream, client)


@contextmanager
def model_server(command: tuple[str, ...], folder: Path) -> Iterator[str]:
    """Run a llama-server, or the mock, on a free port; its URL once it is ready."""
    with _running((*command, "--port", "0"), folder / "model-server.log") as process:
        yield process.wait_for(r"(?:server is|llama_server:) listening on (http://\S+:\d+)", _PATIENCE)


@contextmanager
def _running(command: tuple[str, ...], said: Path) -> Iterator[Process]:
    process = Process(command, said)
    try:
        yield process
    finally:
        process.stop()
