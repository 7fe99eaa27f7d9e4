"""What SDKs make of refusals with and without Anthropic's envelope."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anthropic
import pytest

from mockserver import MockLlamaServer
from mockserver.sandbox import Sandbox
from tests.harness.patience import PATIENCE

if TYPE_CHECKING:
    from anthropic.types import MessageParam

MESSAGES: list[MessageParam] = [{"role": "user", "content": "Say hello."}]
_AI_SDK = ("ai@7.0.173", "@ai-sdk/anthropic@4.0.105")
_SCRIPT = Path(__file__).with_name("ai_sdk_errors.mjs")
_INSTALL_SECONDS = 60


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "enveloped"])
def enveloped(request: pytest.FixtureRequest) -> bool:
    """Whether the gateway's setting is on."""
    return bool(request.param)


@pytest.fixture(scope="module")
def sandbox(enveloped: bool) -> Iterator[Sandbox]:
    deployments = {"demo": MockLlamaServer(), "resting": MockLlamaServer(), "away": MockLlamaServer()}
    with Sandbox(deployments, server={"anthropic_errors": enveloped}) as sandbox:
        sandbox["resting"].pause()
        sandbox["away"].crash()
        yield sandbox


WORDS = {
    "demo": (401, "authentication_error", "Invalid API key."),
    "none": (404, "not_found_error", "No deployment found for this endpoint."),
    "resting": (503, "overloaded_error", "Endpoint is not ready (status: paused)."),
    "away": (502, "api_error", "The model endpoint is unreachable right now."),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
def test_the_anthropic_sdk_reads_either_shape(sandbox: Sandbox, name: str) -> None:
    key = "wrong" if name == "demo" else sandbox.key
    base_url = f"{sandbox.url}/api/gguf/{name}"
    with (
        anthropic.Anthropic(base_url=base_url, api_key=key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(model="any", messages=MESSAGES, max_tokens=5)
    status, kind, words = WORDS[name]
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert words in caught.value.message
    assert caught.value.request_id


def test_an_answer_is_no_error_in_either_case(sandbox: Sandbox) -> None:
    with anthropic.Anthropic(base_url=sandbox["demo"].base_url, api_key=sandbox.key) as client:
        assert client.messages.create(model="any", messages=MESSAGES, max_tokens=5).type == "message"


@pytest.fixture(scope="session")
def ai_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the AI SDK installed. Skips where there is no Node, no registry and no cache of it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed; the AI SDK was not tried")
    folder = tmp_path_factory.mktemp("ai-sdk")
    command = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        run = subprocess.run(
            [*command, *_AI_SDK], cwd=folder, capture_output=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm found no registry in time; the AI SDK was not tried")
    if run.returncode:
        pytest.skip("npm cannot install the AI SDK; it was not tried")
    shutil.copy(_SCRIPT, folder)
    return folder


@pytest.mark.tools
@pytest.mark.parametrize("name", WORDS)
def test_the_ai_sdk_shows_our_words_with_the_envelope(
    ai_sdk: Path, sandbox: Sandbox, enveloped: bool, name: str
) -> None:
    key = "wrong" if name == "demo" else sandbox.key
    run = subprocess.run(
        ["node", _SCRIPT.name, f"{sandbox.url}/api/gguf/{name}/v1"],
        cwd=ai_sdk,
        env={"PATH": str(Path(shutil.which("node") or "").parent), "KEY": key},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    status, _, words = WORDS[name]
    shown = run.stdout.splitlines()
    assert shown[0] == str(status)
    assert (words in shown[1]) == enveloped, shown
