"""Keys that an operator thought up, and that look like nothing in particular: no log and no page has one."""

import pytest

from tests.harness import scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.wire_client import request

OWN = "my-own-secret"
SIGNS = "with/some+signs=of.2024"
EXPIRED = "an-old.one_42"
KEYS = f"""
      - {{name: own, key: {OWN}}}
      - {{name: signs, key: "{SIGNS}"}}
      - {{name: ran-out, key: {EXPIRED}, expires_at: 2020-01-01T00:00:00Z}}
"""


def asked_with(key: str) -> list[bytes]:
    """Requests with a key everywhere but where it belongs."""
    paths = (
        *(f"/{key}", f"/{key}/", f"/a/{key}/b", f"/x/v1/models/{key}", f"/api/gguf/{key}/v1/models", f"/k={key}&a=b"),
        *(f"{scene.BASE}/{key}", f"/v1/models/key:{key}", f"/{'x' * 100}/{key}", f"/{'x/' * 52}{key}"),
        *("/" + key.replace("-", "%2D").replace("/", "%2f"), f"/Bearer%20{key}", f"/%22{key}%22"),
    )
    asked = [request(path, method="GET", key=good) for path in paths for good in (None, scene.KEY)]
    ids = [request("/healthz", f"X-Request-ID: {key}", method="GET")]
    ids += [request(scene.CHAT, f"X-Request-ID: {key}", key=good, body=scene.BODY) for good in (None, scene.KEY)]
    return asked + ids


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_key_of_the_operators_own_form_is_masked_wherever_it_stands(
    start_gateway: StartGateway, upstream: ScriptedUpstream, form: str
) -> None:
    text = scene.config(upstream.url, f"log: {{level: debug, format: {form}}}")
    gateway = start_gateway(text.replace("    keys:\n", f"    keys:{KEYS.rstrip()}\n", 1))
    start = gateway.mark_log()
    for key in (OWN, SIGNS, EXPIRED):
        for data in asked_with(key):
            gateway.ask(data)
    page = gateway.ask(request("/", method="GET", host=f"127.0.0.1:{gateway.port}")).body.decode()
    end = gateway.mark_log()
    logged = "\n".join(gateway.log.lines[start:end])
    assert logged.count("GET /") > 50
    for secret in (OWN, SIGNS, EXPIRED, OWN[:-1], EXPIRED[:-1]):
        assert secret not in logged
        assert secret not in page
    assert "GET /a/…/b" in logged
