"""The retry loop of docs/reference/contract.md, ridden out over real HTTP."""

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mockserver.sandbox import Sandbox


def ask(url: str, key: str, body: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = Request(url, json.dumps(body).encode(), headers)
    attempt = 0
    while True:
        try:
            with urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except HTTPError as refusal:
            with refusal:
                error = json.load(refusal)["error"]
            if refusal.code not in (502, 503) or attempt == 4:
                raise RuntimeError(f"{error['type']}: {error['message']}") from refusal
        time.sleep(2**attempt)
        attempt += 1


BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


def test_it_waits_for_a_deployment_to_become_ready(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.redeploy(load_seconds=0.3)
    assert ask(f"{demo.base_url}/v1/chat/completions", gguf_sandbox.key, BODY)["choices"]
    assert len(demo.requests) == 1


def test_it_rides_out_a_restart(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.restart(down_seconds=0.3, load_seconds=0.3)
    assert ask(f"{demo.base_url}/v1/chat/completions", gguf_sandbox.key, BODY)["choices"]
    assert demo.requests[-1].status == 200


def test_it_raises_what_no_retry_can_mend(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    with pytest.raises(RuntimeError, match=r"^authentication_error: Invalid API key\.$"):
        ask(f"{demo.base_url}/v1/chat/completions", "wrong", BODY)
