"""Table A: keys that are taken out, run out, are revoked, or were never there."""

import hashlib
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.commands import CommandProcess
from tests.harness.processes.fleet import StartGateway
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.upstream_visit import Visit
from tests.harness.sockets.wire_client import WireClient, request
from tests.wire.requests.keys.asking import ask_models, is_refused


def test_A15_a_key_taken_out_of_the_file_is_401_without_a_restart(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    with gateway.connect() as client:
        assert client.ask(ask_models(key=scene.HOMEMADE_KEY)).status == 200
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace(scene.HOMEMADE_KEY, "CANARYKEY-another-one"))
        gateway.log.wait_for("is in force")
        assert contract.BAD_KEY.is_kept_by(client.ask(ask_models(key=scene.HOMEMADE_KEY)))
        assert client.ask(ask_models(key="CANARYKEY-another-one")).status == 200


@pytest.mark.slow
@pytest.mark.long
def test_A15_a_key_that_runs_out_is_401_and_its_running_stream_finishes(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    refused = threading.Event()

    def stream(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        visit.chunk(b"data: 1\n\n")
        assert refused.wait(PATIENCE)
        visit.chunk(b"data: [DONE]\n\n")
        visit.chunk(b"")

    def begin(client: WireClient) -> datetime:
        """Begin a stream with a key that runs out soon; when. Seconds that are too few here are doubled."""
        for seconds in (1.5, 3, 6, 12, 24):
            line = len(gateway.log.lines)
            ends = datetime.now(UTC) + timedelta(seconds=seconds)
            gateway.config.write_text(scene.config(upstream.url).replace("2020-01-01T00:00:00Z", ends.isoformat()))
            gateway.log.wait_for("is in force", start=line)
            client.send(request(scene.CHAT, key=scene.EXPIRED_KEY, body=b'{"stream":true}'))
            if client.read_head().startswith(b"HTTP/1.1 200"):
                return ends
            client.read_some()
        raise AssertionError("it always ran out before the stream began")

    with upstream.playing(stream), gateway.connect() as client, gateway.connect() as other:
        ends = begin(client)
        time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()))
        assert contract.BAD_KEY.is_kept_by(other.ask(ask_models(key=scene.EXPIRED_KEY)))
        refused.set()
        assert client.read_to_last_chunk() == b"data: 1\n\ndata: [DONE]\n\n"


@pytest.mark.slow
@pytest.mark.long
def test_A15_a_key_revoked_in_the_database_is_401_in_every_gateway(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.db"
    command = CommandProcess(path)
    (tmp_path / "import.yaml").write_text(scene.config(upstream.url))
    command.reads("import", str(tmp_path / "import.yaml"))
    with closing(sqlite3.connect(path)) as database:
        ((main,),) = database.execute("SELECT id FROM keys WHERE account = 'acme' AND name = 'main'").fetchall()
    config = f"server: {{port: 0}}\ndatabase: sqlite+aiosqlite:///{path}\n"
    gateways = [start_gateway(config) for _ in range(2)]
    for gateway in gateways:
        assert [gateway.ask(ask_models(key=key)).status for key in (scene.KEY, scene.HOMEMADE_KEY)] == [200, 200]
    command.reads("keys", "revoke", main)
    for gateway in gateways:
        wait_until(lambda: gateway.ask(ask_models(key=scene.KEY)).status != 200)  # noqa: B023 (used before the next)
        assert contract.BAD_KEY.is_kept_by(gateway.ask(ask_models(key=scene.KEY)))
        assert gateway.ask(ask_models(key=scene.HOMEMADE_KEY)).status == 200


def test_A21_without_any_key_everything_is_401(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(f"server: {{port: 0}}\naccounts: {{acme: {{keys: []}}}}\n{_DEMO.format(upstream.url)}")
    assert "No key is configured" in gateway.log.since(0)
    for headers in ((), ("x-api-key: ",), ("Authorization: Bearer null",), ("key: acme",)):
        assert is_refused(gateway, upstream, *headers)


def test_A21_the_digest_of_nothing_is_no_key(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    """What `printf "$KEY" | sha256sum` makes of a variable that is not set."""
    key = f"{{name: oops, key_sha256: {hashlib.sha256(b'').hexdigest()}}}"
    text = f"server: {{port: 0}}\naccounts: {{acme: {{keys: [{key}]}}}}\n{_DEMO.format(upstream.url)}"
    gateway = start_gateway(text, serves=False)
    if gateway.settles():
        for headers in ((), ("x-api-key: ",), ("Authorization: Bearer ",), ("Authorization: x",)):
            assert is_refused(gateway, upstream, *headers)


def test_A21_an_empty_key_in_the_file_is_refused_at_start(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    empty = ('""', "null", "", "[]", "{}", "false", '" "', "a")
    keys = ", ".join(f"{{name: a, key: {key}}}" for key in empty)
    text = f"server: {{port: 0}}\naccounts: {{acme: {{keys: [{keys}]}}}}\n{_DEMO.format(upstream.url)}"
    gateway = start_gateway(text, serves=False)
    assert gateway.wait() == 1
    for number in range(len(empty)):
        assert f"accounts.acme.keys[{number}]" in gateway.log.since(0), empty[number]


_DEMO = 'deployments: {{demo: {{account: acme, upstream: "{}", status: ready}}}}\n'
