"""Table L: how a gateway starts, stops, reloads, and lives on little. (More: tests/wire/operation/test_shutdown.py.)"""

import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import contract, scene
from tests.harness.fleet import Fleet, StartGateway
from tests.harness.gateway_process import COMMAND, GatewayProcess
from tests.harness.patience import AT_ONCE, PATIENCE, wait_until
from tests.harness.scripted_upstream import ScriptedUpstream, Visit, fine
from tests.harness.stage import DONE, EVENT, chat
from tests.harness.wire_client import Closed, WireClient, request

pytestmark = pytest.mark.slow


MIB = 1 << 20
FINE = {"object": "fine"}
READYZ = request("/readyz", method="GET")
SHUTTING_DOWN = b"The gateway is shutting down."


class Streams:
    """A script whose streams have begun, and end when they are let; with a body of their own."""

    def __init__(self) -> None:
        self.let_end = threading.Event()

    def __call__(self, visit: Visit) -> None:
        own = visit.read_body()
        visit.begin_stream()
        visit.chunk(EVENT)
        while not self.let_end.is_set():
            if visit.wait_until_left(0.05):
                return
        visit.chunk(own)
        visit.chunk(DONE)
        visit.chunk(b"")


def begin(gateway: GatewayProcess, number: int) -> list[WireClient]:
    """So many clients, each in the middle of its stream."""
    clients = [gateway.connect() for _ in range(number)]
    for at, client in enumerate(clients):
        client.send(chat(body=b"%d\n\n" % at))
    for client in clients:
        client.read_head()
        assert EVENT in client.read_some()
    return clients


# --- L1, L2: told to stop


def test_L1_a_hundred_streams_finish_and_are_counted(upstream: ScriptedUpstream, start_gateway: StartGateway) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    streams = Streams()
    with upstream.playing(streams):
        clients = begin(gateway, 100)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 100 requests in progress have 30 s to finish")
        streams.let_end.set()
        for at, client in enumerate(clients):
            assert client.read_to_last_chunk() == b"%d\n\n" % at + DONE
        assert gateway.wait() == 0
    gateway.log.wait_for("stopped: 100 finished, 0 cut")


BEGUN = {
    "in line": (b"", False),
    "with a short upload": (chat("bare", body=b"x" * 1000), False),
    "with a long upload that the upstream has not seen": (chat("bare", body=b"x" * 200_000), False),
    "with a long upload that the upstream has seen": (chat("bare", body=b"x" * 4 * MIB), True),
}


@pytest.mark.parametrize(("upload", "seen"), BEGUN.values(), ids=BEGUN)
def test_L1_who_has_begun_otherwise_is_served_too(
    upstream: ScriptedUpstream, start_gateway: StartGateway, upload: bytes, seen: bool
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "limits: {connections: 1, waiting: 8}"))
    streams = Streams()
    with upstream.playing(streams), gateway.connect() as client:
        (streaming,) = begin(gateway, 1)
        if upload:
            client.send(upload[: len(upload) // 2])
            gateway.wait_until_read(client)
            assert not seen or upstream.wait_for(lambda upstream: len(upstream.requests) == 2)
        else:
            client.send(chat())
            gateway.wait_until_waiting(1, "demo")
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping: 2 requests in progress")
        streams.let_end.set()
        assert streaming.read_to_last_chunk().endswith(DONE)
        time.sleep(0.1)  # nothing else is under way now
        client.send(upload[len(upload) // 2 :])
        response = client.read_response()
        assert gateway.wait() == 0
    assert (response.status, response.whole) == (200, True)
    assert response.body.endswith(DONE)
    gateway.log.wait_for("stopped: 2 finished, 0 cut")


def test_L1_who_waits_in_line_when_the_drain_is_over_is_told_so(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    limits = "limits: {connections: 1, waiting: 8}, timeouts: {drain: 0.2}"
    gateway = start_gateway(scene.config(upstream.url, limits))
    with upstream.playing(Streams()):
        (streaming,) = begin(gateway, 1)
        waiting = [gateway.connect() for _ in range(5)]
        for client in waiting:
            client.send(chat())
        gateway.wait_until_waiting(5, "demo")
        gateway.send_signal(signal.SIGTERM)
        assert SHUTTING_DOWN in streaming.read_to_end()
        for client in waiting:
            assert contract.DRAINING.is_kept_by(client.read_response())
        assert gateway.wait() == 0
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("drain", [0, 0.3])
def test_L2_streams_that_never_end_are_cut_visibly_when_the_drain_is_over(
    upstream: ScriptedUpstream, start_gateway: StartGateway, drain: float
) -> None:
    gateway = start_gateway(scene.config(upstream.url, f"timeouts: {{drain: {drain}}}"))

    def talk_for_ever(visit: Visit) -> None:
        visit.read_body()
        visit.begin_stream()
        while True:
            visit.chunk(EVENT)
            time.sleep(0.01)

    with upstream.playing(talk_for_ever):
        clients = begin(gateway, 20)
        begun = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        for client in clients:
            rest = client.read_to_end()
            assert rest.count(SHUTTING_DOWN) == 1
            assert rest.endswith(b'"The gateway is shutting down."}}\n\n\r\n')
        assert gateway.wait() == 0
        assert drain <= time.monotonic() - begun < drain + AT_ONCE
    gateway.log.wait_for("stopped: 0 finished, 20 cut")


# --- L3: signals, and the ends of pipes


def test_L3_no_other_signal_ends_it(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    gateway = start_gateway(scene.config(upstream.url))
    streams = Streams()
    with upstream.playing(streams):
        (client,) = begin(gateway, 1)
        for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGWINCH", "SIGCONT"):
            for _ in range(3):
                gateway.send_signal(signal.Signals[name])
            assert gateway.ask(READYZ).status == 200
        streams.let_end.set()
        assert client.read_to_last_chunk().endswith(DONE)
    assert gateway.is_alive


def bare_gateway(tmp_path: Path, upstream: ScriptedUpstream, log: int) -> "tuple[subprocess.Popen[bytes], int]":
    """A gateway that writes to `log`, a file descriptor, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url).replace("port: 0", f"port: {port}"))
    path.chmod(0o600)
    process = subprocess.Popen((*COMMAND, "--config", str(path)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def serves() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return False
        return True

    wait_until(serves)
    return process, port


@pytest.mark.parametrize("place", ["closed pipes", "full disk"])
def test_L3_L15_a_log_that_cannot_be_written_costs_no_request(
    tmp_path: Path, upstream: ScriptedUpstream, place: str
) -> None:
    if place == "closed pipes":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    process, port = bare_gateway(tmp_path, upstream, writer)
    os.close(writer)
    try:
        for data in (chat(), chat(key="gw_bad"), chat("closed"), b"nonsense\r\n\r\n"):
            with WireClient(port) as client:
                assert client.ask(data).status in {200, 400, 401, 404}
        with WireClient(port) as client:
            assert client.ask(chat()).json() == FINE
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


# --- L4: stopped before it stands


def test_L4_a_signal_at_any_moment_of_the_start_is_a_clean_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url))
    path.chmod(0o600)

    def start_and_stop(number: int) -> tuple[int, str]:
        process = subprocess.Popen(
            (*COMMAND, "--config", str(path)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.15 * number)  # any moment will do
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=PATIENCE)[1]
        return process.returncode, said

    with ThreadPoolExecutor(2) as starters:
        for status, said in starters.map(start_and_stop, range(1, 7)):
            assert status in {0, -signal.SIGTERM}
            assert "Traceback" not in said


@pytest.mark.usefixtures("heard_ctrl_c")
@pytest.mark.parametrize(
    "module",
    [
        "click.core",
        "pydantic",
        "aiohttp.web",
        "gateway.server.process.run",
        "gateway.registry.factory",
        "signal handlers",
    ],
)
def test_L4_ctrl_c_while_it_starts_ends_it_without_a_word(
    tmp_path: Path, upstream: ScriptedUpstream, module: str
) -> None:
    """Python is made to say what it has imported, so that the moment is known."""
    path = tmp_path / "gateway.yaml"
    path.write_text(scene.config(upstream.url))
    path.chmod(0o600)
    with subprocess.Popen(
        (*COMMAND, "--config", str(path)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    ) as process:
        assert process.stderr is not None
        wanted = "serving on" if module == "signal handlers" else rf"\| +{re.escape(module)}$"
        said = []
        for line in process.stderr:
            said.append(line)
            if re.search(wanted, line):
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == (0 if module == "signal handlers" else -signal.SIGINT), said[-5:]
    assert any(re.search(wanted, line) for line in said)
    words = [line for line in said if not line.startswith("import time:")]
    assert "Traceback" not in "".join(words)
    assert words == [] or module == "signal handlers"


@pytest.mark.parametrize("installed", [True, False])
def test_it_runs_on_uvloop_where_installed_and_on_asyncio_where_not(
    fleet: Fleet, upstream: ScriptedUpstream, installed: bool
) -> None:
    if installed:
        pytest.importorskip("uvloop")
    gateway = fleet.borrow("uvloop" if installed else "asyncio", scene.config(upstream.url))
    assert gateway.ask(chat()).json() == FINE
    assert gateway.is_on_uvloop() == installed


# --- L8: reloads under load


def test_L8_a_hundred_reloads_cost_no_request_and_end_no_stream(
    upstream: ScriptedUpstream, start_gateway: StartGateway
) -> None:
    text = scene.config(upstream.url)
    gateway = start_gateway(text)
    streams, stop, statuses = Streams(), threading.Event(), []

    def ask_on_and_on() -> None:
        with WireClient(gateway.port) as client:
            while not stop.is_set():
                statuses.append(client.ask(chat()).status)

    with upstream.playing(streams):
        (streaming,) = begin(gateway, 1)
        removed = gateway.connect()
        removed.send(chat("bare", body=b"own\n\n"))
        removed.read_head()
        upstream.script = fine
        asking = threading.Thread(target=ask_on_and_on)
        asking.start()
        without = text.replace("  bare:", "  other-bare:")
        for number in range(100):
            changed = f"{without}  new-{number}: {{account: acme, upstream: '{upstream.url}', status: ready}}\n"
            gateway.config.write_text(changed)
            gateway.send_signal(signal.SIGHUP)
            if number % 10 == 9:
                wait_until_served(gateway, f"new-{number}")
        assert contract.NO_DEPLOYMENT.is_kept_by(gateway.ask(chat("bare")))
        stop.set()
        asking.join()
        streams.let_end.set()
        for client in (streaming, removed):
            assert client.read_to_last_chunk().endswith(DONE)
    assert set(statuses) == {200}
    assert len(statuses) > 50
    assert len(upstream.requests) >= len(statuses)


def wait_until_served(gateway: GatewayProcess, deployment: str) -> None:
    """Wait until a change of the configuration is in force."""
    wait_until(lambda: gateway.ask(chat(deployment)).status == 200)


# --- L10: where it listens

PLACES = {
    "taken": ("{taken}", "127.0.0.1", r"Port \d+ on 127.0.0.1 is taken"),
    "privileged": ("1023", "127.0.0.1", "Port 1023 needs more rights than this user has"),
    "an address of another machine": ("0", "192.0.2.1", "Cannot listen on 192.0.2.1"),
    "a name of nobody": ("0", "nowhere.invalid", "Cannot listen on nowhere.invalid"),
}
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


@pytest.mark.parametrize(("port", "host", "said"), PLACES.values(), ids=PLACES)
def test_L10_a_place_where_it_cannot_listen_is_one_sentence(
    start_gateway: StartGateway, upstream: ScriptedUpstream, port: str, host: str, said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = port.format(taken=taken.getsockname()[1])
        arguments = ("--host", host, "--port", port)
        gateway = start_gateway(scene.config(upstream.url), arguments, serves=False, prefix=WITHOUT_RIGHTS)
        assert gateway.wait() == 1
    gateway.log.wait_for_end()
    assert re.search(said, gateway.log.since(0)), gateway.log.since(0)
    assert "Traceback" not in gateway.log.since(0)


@pytest.mark.parametrize("host", ["localhost", "::1", "0.0.0.0"])
def test_L10_names_and_both_families_are_listened_on(
    start_gateway: StartGateway, upstream: ScriptedUpstream, host: str
) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    gateway = start_gateway(scene.config(upstream.url), ("--host", host), serves=False).wait_until_serving()
    with socket.create_connection(("::1" if host == "::1" else "127.0.0.1", gateway.port), 2) as client:
        client.sendall(READYZ)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# --- L18 to L22: descriptors, memory, bare surroundings (L17: test_clocks.py)


def test_L18_few_descriptors_refuse_some_and_it_recovers_by_itself(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url), prefix=("prlimit", "--nofile=64"))
    line = gateway.mark_log()
    many = []
    for _ in range(200):
        client = WireClient(gateway.port, 0.5)
        client.send(chat())
        many.append(client)
    used = gateway.cpu_seconds()
    time.sleep(0.3)
    assert gateway.cpu_seconds() - used < 0.25, "it spins"
    for client in many:
        client.close()
    wait_until(lambda: _is_answered(gateway))
    assert gateway.ask(chat()).json() == FINE
    assert gateway.log.since(line).count("cannot accept new connections") <= 1


def test_L18_without_descriptors_it_stops_without_complaint(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """asyncio begins to accept again a second later, whether or not the listener is still there."""
    limits = "timeouts: {drain: 1.5}"
    gateway = start_gateway(scene.config(upstream.url, limits), prefix=("prlimit", "--nofile=64"))
    streams = Streams()
    with upstream.playing(streams):
        (streaming,) = begin(gateway, 1)
        many = [WireClient(gateway.port, 0.5) for _ in range(100)]
        wait_until(lambda: gateway.count_descriptors() >= 63)
        gateway.send_signal(signal.SIGTERM)
        gateway.log.wait_for("stopping")
        assert b"shutting down" in streaming.read_to_end()
        assert gateway.wait() == 0
    for client in many:
        client.close()


def _is_answered(gateway: GatewayProcess) -> bool:
    try:
        with WireClient(gateway.port, 10) as client:
            return client.ask(chat()).status == 200
    except (OSError, Closed):
        return False


def test_L19_five_hundred_streams_live_in_little_memory(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    gateway = start_gateway(scene.config(upstream.url, "limits: {connections: 1000}"))
    streams = Streams()
    gateway.ask(chat())
    before = gateway.memory()
    with upstream.playing(streams):
        clients = begin(gateway, 500)
        assert gateway.memory() - before < 500 * 64 * 1024
        assert gateway.memory() < 256 * MIB
        streams.let_end.set()
        for client in clients:
            assert client.read_to_last_chunk().endswith(DONE)


@pytest.mark.slow
def test_L19_out_of_memory_it_passes_no_half_answer_for_a_whole_one(
    start_gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    """A limit on its data stands in for a cgroup's, which needs rights: there the kernel would just kill it."""
    gateway = start_gateway(scene.config(upstream.url), serves=False).wait_until_serving()
    assert gateway.ask(chat()).json() == FINE
    resource.prlimit(gateway.pid, resource.RLIMIT_DATA, (gateway.data() + 8 * MIB, resource.RLIM_INFINITY))
    body = random.Random(1).randbytes(2 * MIB)
    outcomes: Counter[str] = Counter()

    def ask() -> None:
        try:
            with WireClient(gateway.port, 20) as client:
                client.send(chat(body=body))
                time.sleep(0.3)  # all of them want memory at once
                response = client.read_response()
        except (Closed, TimeoutError, OSError) as error:
            outcomes[type(error).__name__] += 1
            return
        whole = response.status == 200 and response.whole
        outcomes["whole" if whole and response.body == body else "wrong" if whole else "failed"] += 1

    with upstream.playing(lambda visit: visit.answer(visit.read_body())):
        asking = [threading.Thread(target=ask) for _ in range(60)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
    assert outcomes["wrong"] == 0
    if gateway.is_alive:
        resource.prlimit(gateway.pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert gateway.ask(chat()).json() == FINE
    assert "MemoryError" in gateway.log.since(0) or not gateway.is_alive, outcomes
    gateway.stop(signal.SIGKILL)


def test_L22_it_serves_in_bare_surroundings(start_gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    """As in a container: no HOME, the C locale, assertions and docstrings stripped, nothing written but its log."""
    kept = ('PATH="$PATH"', 'PYTHONPATH="$PYTHONPATH"', "LANG=C", "PYTHONOPTIMIZE=2", "PYTHONUNBUFFERED=1")
    bare = ("sh", "-c", f'exec env -i {" ".join(kept)} "$@"', "sh", sys.executable, "-OO")
    gateway = start_gateway(scene.config(upstream.url), prefix=bare)
    assert gateway.ask(chat()).json() == FINE
    assert contract.BAD_KEY.is_kept_by(gateway.ask(chat(key="gw_ключ")))
    assert [file.name for file in gateway.config.parent.iterdir()] == ["gateway.yaml"]
