"""What llama.vim, llama.vscode and pi send, with a key, to a deployment that enables llama-server's own endpoints.

Read from their sources: llama.vim's `llama#fim`, llama.vscode's `llama-server.ts`, pi-llama's `index.ts`.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from mockserver import BackgroundMock
from tests.harness import scene
from tests.harness.patience import PATIENCE
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.wire_client import request

MODEL_PATH = "/srv/CANARYUP-models/tiny.gguf"
TIMINGS = ("prompt_n", "prompt_ms", "prompt_per_second", "predicted_n", "predicted_ms", "predicted_per_second")
AXIOS = (
    "Accept: application/json, text/plain, */*",
    "Content-Type: application/json",
    "User-Agent: axios/1.13.2",
    "Accept-Encoding: gzip, compress, deflate, br",
)
CONTEXT = {"input_prefix": "def add(a, b):\n", "input_suffix": "\n\nprint(add(1, 2))\n", "prompt": "    return"}


@pytest.fixture
def mock(mock_llama_server_factory: Callable[..., BackgroundMock]) -> BackgroundMock:
    return mock_llama_server_factory(infill=True, embeddings=True, model=MODEL_PATH)


@pytest.fixture
def native(start_gateway: StartGateway, mock: BackgroundMock) -> GatewayProcess:
    """A gateway before the mock, whose deployment `demo` enables everything."""
    config = scene.config(mock.url).replace("demo: {", "demo: {endpoints: [openai, anthropic, native], ")
    return start_gateway(config.replace(f'upstream_key: "{scene.UPSTREAM_KEY}", ', ""))


def post(gateway: GatewayProcess, path: str, body: dict[str, Any]) -> Any:
    sent = request(scene.BASE + path, *AXIOS, key=scene.KEY, body=json.dumps(body).encode())
    answer = gateway.ask(sent)
    assert answer.status == 200, answer.body
    return answer.json()


def get(gateway: GatewayProcess, path: str) -> Any:
    answer = gateway.ask(request(scene.BASE + path, "Accept: */*", "User-Agent: node", method="GET", key=scene.KEY))
    assert answer.status == 200, answer.body
    return answer.json()


def test_llama_vim_completes_in_the_middle(native: GatewayProcess) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; llama.vim's command was not run")
    body = {
        **CONTEXT,
        "input_extra": [{"text": "x = 1\n", "time": [1, 2], "filename": "x.py"}],
        "n_predict": 16,
        "stop": [],
        "n_indent": 4,
        "top_k": 40,
        "top_p": 0.9,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 250,
        "response_fields": ["content", *(f"timings/{name}" for name in TIMINGS), "truncated", "tokens_cached"],
    }
    url = f"http://127.0.0.1:{native.port}{scene.BASE}/infill"
    command = ["curl", "--silent", "--no-buffer", "--request", "POST", "--url", url]
    command += ["--header", "Content-Type: application/json", "--data", "@-"]
    command += ["--header", f"Authorization: Bearer {scene.KEY}"]
    sent = json.dumps(body)
    run = subprocess.run(command, input=sent, capture_output=True, text=True, timeout=PATIENCE, check=True)
    answer = json.loads(run.stdout)
    assert answer["content"]
    assert set(answer) == {"content", "truncated", "tokens_cached", *(f"timings/{name}" for name in TIMINGS)}


def test_llama_vscode_completes_chats_and_embeds(native: GatewayProcess) -> None:
    prepared = {"n_predict": 0, "samplers": [], "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 1}
    extra = [{"filename": "x.py", "text": "x = 1\n"}]
    assert post(native, "/infill", {**CONTEXT, "input_extra": extra, **prepared})["stop"]
    settings = {"n_predict": 16, "top_k": 40, "top_p": 0.99, "stream": False, "samplers": ["top_k", "top_p", "infill"]}
    answer = post(native, "/infill", {**CONTEXT, "input_extra": extra, **settings, "n_indent": 4})
    assert answer["content"]
    assert answer["timings"]["predicted_n"] > 0
    messages = [{"role": "system", "content": "You are an expert coder."}, {"role": "user", "content": "Hello"}]
    chat = {"messages": messages, "stream": False, "temperature": 0.8, "samplers": "edkypmxt", "max_tokens": 8}
    assert post(native, "/v1/chat/completions", chat)["choices"][0]["message"]["content"]
    embedded = post(native, "/v1/embeddings", {"input": "x = 1", "model": "GPT-4", "encoding_format": "float"})
    assert embedded["data"][0]["embedding"]
    assert get(native, "/health") == {"status": "ok"}


def test_pi_learns_the_context_and_the_template_but_no_path(native: GatewayProcess) -> None:
    model = get(native, "/v1/models")["data"][0]["id"]
    answer = get(native, f"/props?model={model}&autoload=true")
    assert answer["default_generation_settings"]["n_ctx"] > 0
    assert "chat_template" in answer
    assert answer["model_path"] == "tiny.gguf"


def test_tokens_and_templates_are_served(native: GatewayProcess) -> None:
    tokens = post(native, "/tokenize", {"content": "Tell me a story."})["tokens"]
    assert post(native, "/detokenize", {"tokens": tokens}) == {"content": "Tell me a story."}
    assert post(native, "/apply-template", {"messages": [{"role": "user", "content": "Hello"}]})["prompt"]
    assert post(native, "/completion", {"prompt": "Once", "n_predict": 4})["tokens_predicted"] == 4
    assert post(native, "/embedding", {"content": "x"})[0]["embedding"]
