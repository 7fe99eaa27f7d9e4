"""A request through a sandbox's gateway, from a test that asks for nothing but its status and what it says."""

from mockserver.sandbox import Sandbox
from tests.harness.processes.sandbox_command import Answer, send

CHAT = "/v1/chat/completions"
_BODY = b'{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":4}'


def post(sandbox: Sandbox, name: str = "demo", path: str = CHAT, key: str | None = None) -> Answer:
    """Status and JSON of a small request."""
    headers = {"Authorization": f"Bearer {key or sandbox.key}", "Content-Type": "application/json"}
    return send(sandbox[name].base_url + path, "POST", _BODY, headers)
