"""aiohttp's private attributes: an aiohttp that lacks one starts with a sentence, and the rest of the mock works."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mockserver.core.aiohttp_internals import shortcomings
from tests.harness.sockets.rawhttp import ask

_RENAMES = """
import importlib.machinery, os, re, sys
sys.dont_write_bytecode = True
read = importlib.machinery.SourceFileLoader.get_data
package = os.sep + "aiohttp" + os.sep
def renamed(self, path):
    if package in path and path.endswith(".pyc"):
        raise OSError("the source is to be read")
    data = read(self, path)
    return re.sub(rb"\\bNAME\\b", b"other_name", data) if package in path else data
importlib.machinery.SourceFileLoader.get_data = renamed
"""
"""Renames an attribute throughout aiohttp as it is imported, which leaves aiohttp itself in working order."""

_CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}


def test_the_installed_aiohttp_lacks_nothing() -> None:
    assert shortcomings() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("_kwargs", "Server"),
        ("_parser", "BaseProtocol"),
        ("_request_count", "RequestHandler"),
        ("_request_in_progress", "RequestHandler"),
        ("_on_chunk_sent", "StreamWriter"),
        ("_payload_writer", "BaseRequest"),
        ("_headers_buf", "StreamWriter"),
    ],
)
async def test_without_an_attribute_the_mock_says_so_and_answers(name: str, owner: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_RENAMES.replace("NAME", name))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "AIOHTTP_NO_EXTENSIONS": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mockserver", "--port", "0", "--stop-with-stdin"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        while b"server is listening" not in (line := await process.stdout.readline()):
            assert line, await process.stderr.read()
        url = line.decode().split()[-1]
        assert (await ask(url, "POST", "/v1/chat/completions", _CHAT)).status == 200
        refused = await ask(url, "POST", "/v1/chat/completions", _CHAT, headers={"X-Mock-Fault": "503"})
        assert refused.status == 503
        broken = await ask(url, "POST", "/v1/chat/completions", _CHAT, headers={"X-Mock-Fault": "cut after_bytes=20"})
        assert (broken.status, broken.complete) == ((500, True) if name == "_payload_writer" else (200, False))
    finally:
        process.stdin.close()
        _, said = await process.communicate()
    sentence, *others = said.decode().splitlines()
    assert sentence.startswith("aiohttp ")
    assert f"lacks {owner}.{name}: " in sentence
    assert others == []
    assert process.returncode == 0
