"""The sandbox as an object: each change in one line, and true at the gateway when the line returns."""

import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import pytest

from mockserver.sandbox import GatewayError, Sandbox, SandboxFactory
from mockserver.sandbox.sandbox import EndpointGroupName
from tests.harness.patience import AT_ONCE, PATIENCE
from tests.harness.sandbox_requests import CHAT, post


def test_pause_and_resume(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.pause()
    status, body = post(gguf_sandbox)
    assert status == 503
    assert "(status: paused)" in body["error"]["message"]
    assert demo.requests == []
    demo.resume()
    assert post(gguf_sandbox)[0] == 200


def test_a_restart_is_502_and_then_ready_by_itself(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.restart(down_seconds=0.2, load_seconds=0.2)
    assert post(gguf_sandbox)[0] == 502
    demo.wait_until_ready()
    assert post(gguf_sandbox)[0] == 200


def test_a_crash_lasts_until_resume(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.crash()
    assert post(gguf_sandbox)[0] == 502
    demo.resume()
    assert post(gguf_sandbox)[0] == 200


def test_a_redeployment_is_503_and_then_ready_by_itself(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.redeploy(load_seconds=0.3)
    status, body = post(gguf_sandbox)
    assert status == 503
    assert "(status: deploying)" in body["error"]["message"]
    demo.wait_until_ready()
    assert post(gguf_sandbox)[0] == 200


def test_changes_in_quick_succession_end_as_the_last_one_said(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.redeploy(load_seconds=0)
    demo.pause()
    demo.redeploy(load_seconds=30)
    demo.crash()
    demo.resume()
    assert post(gguf_sandbox)[0] == 200


def test_deployments_change_independently(gguf_sandbox: Sandbox) -> None:
    gguf_sandbox["slow"].crash()
    assert (post(gguf_sandbox, "demo")[0], post(gguf_sandbox, "slow")[0]) == (200, 502)


def test_a_reset_makes_all_ready_and_forgets(gguf_sandbox: Sandbox) -> None:
    post(gguf_sandbox)
    gguf_sandbox["demo"].crash()
    gguf_sandbox["slow"].pause()
    gguf_sandbox.reset()
    assert [deployment.requests for deployment in gguf_sandbox] == [[], []]
    assert (post(gguf_sandbox, "demo")[0], post(gguf_sandbox, "slow")[0]) == (200, 200)


def test_probes_and_the_sandboxs_own_questions_are_no_requests(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.redeploy(load_seconds=0)
    demo.wait_until_ready()
    assert demo.requests == []
    post(gguf_sandbox)
    assert [(seen.method, seen.path, seen.status) for seen in demo.wait_for_requests(1)] == [("POST", CHAT, 200)]


def test_a_wait_that_fails_says_what_was_received(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    post(gguf_sandbox)
    with pytest.raises(AssertionError) as caught:
        demo.wait_for_requests(2, path=CHAT, timeout=0.01)
    first, second, third = str(caught.value).splitlines()
    assert first == f"demo: fewer than 2 request(s) with path='{CHAT}' in 0.01 s."
    assert second == "demo received 1 request(s):"
    assert f"POST {CHAT}, 68 B -> 200, finished" in third
    assert third.strip() in repr(demo)
    assert gguf_sandbox.key not in repr(demo) + str(caught.value)


def test_what_is_not_ready_in_time_says_so(gguf_sandbox: Sandbox) -> None:
    demo = gguf_sandbox.deployment()
    demo.crash()
    with pytest.raises(TimeoutError, match=r"demo is not ready after 0.01 s: its mock was crashed .down.."):
        demo.wait_until_ready(timeout=0.01)


def test_an_unknown_deployment_is_named_with_those_there_are(gguf_sandbox: Sandbox) -> None:
    with pytest.raises(KeyError, match="no deployment 'other' in this sandbox, only demo, slow"):
        gguf_sandbox["other"]


@pytest.mark.slow
def test_every_endpoint_of_the_default_sandbox_answers() -> None:
    with Sandbox(key="gw_a_key_of_ones_own", server={"limits": {"body_bytes": 100}}) as sandbox:
        assert post(sandbox)[0] == 200
        assert post(sandbox, key="gw_another")[0] == 401
        asked = urllib.request.Request(
            f"{sandbox.deployment().openai_base_url}/embeddings", b" " * 101, {"key": sandbox.key}
        )
        with pytest.raises(urllib.error.HTTPError, match="413") as caught:
            urllib.request.urlopen(asked, timeout=PATIENCE)
        caught.value.close()


@pytest.mark.slow
def test_a_configuration_the_gateway_refuses_is_told_in_its_words() -> None:
    with pytest.raises(GatewayError, match=r"exited with status 1.*server\.limits\.body_bytes"):
        Sandbox(server={"limits": {"body_bytes": -1}}).__enter__()


@pytest.mark.slow
def test_outside_its_block_a_sandbox_says_that_it_does_not_run() -> None:
    with Sandbox() as sandbox:
        demo = sandbox.deployment()
        started = time.monotonic()
    assert time.monotonic() - started < AT_ONCE
    for line in (sandbox.reset, demo.pause, Sandbox().deployment):
        with pytest.raises(GatewayError, match="not running"):
            line()


def test_mock_options_go_with_the_default_deployment_only() -> None:
    with pytest.raises(TypeError, match="MockLlamaServers of `deployments`"):
        Sandbox({}, tokens_per_second=5)
    with pytest.raises(TypeError, match="no option 'token'"):
        Sandbox(token=5)  # type: ignore[call-arg]


@pytest.mark.slow
@pytest.mark.parametrize("endpoints", [("openai", "anthropic", "native"), ("native",)])
def test_native_endpoints_are_enabled_where_they_are_asked_for(
    gguf_sandbox: Sandbox, gguf_sandbox_factory: SandboxFactory, endpoints: Sequence[EndpointGroupName]
) -> None:
    assert post(gguf_sandbox, path="/completion")[0] == 404
    sandbox = gguf_sandbox_factory(endpoints=endpoints)
    status, body = post(sandbox, path="/completion")
    assert (status, "prompt" in body["error"]["message"]) == (400, True)  # of the mock: there is none
    assert post(sandbox)[0] == (200 if "openai" in endpoints else 404)
