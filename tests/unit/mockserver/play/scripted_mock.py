"""A mock that is steered: what it is asked, on both of its ports."""

from typing import Any

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

CHAT = "/v1/chat/completions"
PLAIN = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 6}
STREAM = {**PLAIN, "stream": True, "max_tokens": 20}


async def control(mock: MockLlamaServer, method: str, path: str, body: Any = None) -> Any:
    answer = await ask(mock.control_url, method, f"/__mock__/{path}", body)
    return answer.status, answer.json() if answer.body else None
