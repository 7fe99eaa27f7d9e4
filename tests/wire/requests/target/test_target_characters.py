"""Table P: escapes and characters in a target."""

import random

import pytest

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.wire.requests.target.targets import get, is_bad, is_nothing

BAD_TARGET = contract.bad_request("its target is not a valid URL")
ODD_ESCAPES = ("%00", "%0d%0aX-Evil:1", "%0a", "%09", "%7f", "%ff%fe", "%c0%af", "%20", "%1b[31m", "%e2%80%a8")


@pytest.mark.parametrize("escape", ODD_ESCAPES)
def test_P5_escaped_controls_are_404_and_one_line_of_the_log(
    gateway: GatewayProcess, upstream: ScriptedUpstream, escape: str
) -> None:
    name = f"odd-{random.randrange(10**9)}"
    target = f"{scene.BASE}/v1/models{escape}"
    assert contract.NO_SUCH_PATH.is_kept_by(gateway.ask(get(target, f"x-request-id: {name}")))
    gateway.log.wait_for(name)
    assert sum(name in line for line in gateway.log.lines) == 1
    assert is_nothing(gateway, upstream, f"{scene.BASE}/{escape}/v1/models")


def test_P5_no_target_can_forge_a_line_of_the_log_for_people(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "log: {format: human}"))
    forged = "%0a12:00:00%20error%20forged%0d%1b%5b2J%c2%85%e2%80%a8forged"
    start = gateway.mark_log()
    for target in (f"/{forged}", f"/api/gguf/{forged}/v1/models", f"{scene.BASE}/{forged}", f"/api/gguf/{forged}"):
        gateway.ask(get(target, "User-Agent: x"))
    written = gateway.log.lines[start : gateway.mark_log()]
    assert len(written) == 5
    assert not any("\x1b" in line or line.startswith("12:00:00 error") for line in written)


@pytest.mark.parametrize("path", ["/v1/models%", "/v1/models%1", "/v1/models%zz", "/%/v1/models", "/v1/%u002e/x"])
def test_P6_a_bad_escape_is_400(gateway: GatewayProcess, upstream: ScriptedUpstream, path: str) -> None:
    assert BAD_TARGET.is_kept_by(gateway.ask(get(scene.BASE + path)))
    assert is_bad(gateway, upstream, get(scene.BASE + path))


@pytest.mark.parametrize("character", [b"\xe9", "é".encode(), b" ", b"\t", b"\x01", b"\x00", b"\x7f", b"\r", b"\n"])
@pytest.mark.parametrize("place", [b"/v1/mo%b/dels", b"/v1/models?a=%bb", b"%b/v1/models"])
def test_P7_a_raw_character_that_no_url_has_is_400(
    gateway: GatewayProcess, upstream: ScriptedUpstream, character: bytes, place: bytes
) -> None:
    assert is_bad(gateway, upstream, get(scene.BASE.encode() + place % character))
