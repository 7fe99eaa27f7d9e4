"""`gguf-gateway sandbox` as a command: its definition, its demos, its end."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.harness.pages.chromium import require_chromium, running_chromium
from tests.harness.patience import PATIENCE, wait_until
from tests.harness.processes.sandbox_command import COMMAND, SandboxCommand, sandbox_command

pytestmark = pytest.mark.slow

KEYS = "accounts: {tests: {keys: [{name: tests, key: gw_a_key_for_these_tests}]}}\n"


@pytest.fixture(scope="module")
def demos() -> Iterator[SandboxCommand]:
    with sandbox_command() as served:
        yield served


@pytest.mark.parametrize(
    ("definition", "complaint"),
    [
        ("deployments: {demo: {account: nobody}}", ":1: deployments.demo.account: is not an account in this file"),
        (
            KEYS + "deployments: {demo: {account: tests, mock: 5}}",
            ":2: deployments.demo.mock: must be a mapping of the",
        ),
        (KEYS + "deployments: {demo: {account: tests, moc: {}}}", ":2: deployments.demo.moc: unknown setting"),
        (
            KEYS + "deployments: {demo: {account: tests, mock: {tps: {}}}}",
            ":2: deployments.demo.mock.tps: must be text",
        ),
        (KEYS + "server: {host: 0.0.0.0}", ":2: server.host: a sandbox listens on this machine only"),
        ("server: {port: [}", ":1: not valid YAML"),
        ("database: sqlite+aiosqlite:///gateway.db", ":1: database: a sandbox has its accounts and deployments in its"),
        (
            KEYS + "deployments: {demo: {account: tests, upstream: 'http://h:1', mock: {}}}",
            ":2: deployments.demo.mock: cannot be used with `upstream`; choose one",
        ),
        (KEYS + "deployments: {demo: {account: tests, mock: {tps: x}}}", "Error: The mock of demo did not start: "),
        (KEYS + "deployments: {demo: {account: tests, mock: {stat: 5}}}", "Did you mean '--state'?"),
    ],
)
def test_a_definition_that_is_wrong_is_told_where(tmp_path: Path, definition: str, complaint: str) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(definition)
    run = subprocess.run([*COMMAND, "--config", path, "--port", "0"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    assert "gw_a_key" not in run.stderr


def test_a_definition_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    run = subprocess.run([*COMMAND, "--config", tmp_path / "no.yaml"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (1, f"{tmp_path / 'no.yaml'}: cannot be read: no such file or directory\n")


def test_a_definition_may_have_the_gateways_own_settings(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    limits = "server: {limits: {body_bytes: 20}}\n"
    path.write_text(KEYS + limits + "deployments: {demo: {account: tests, mock: {parallel: 1, endless: true}}}")
    with sandbox_command("--config", str(path)) as served:
        assert served.ask("demo")[0] == 413
        slots = urlopen(Request(f"{served.base_url('demo')}/v1/models", headers={"key": served.key}), timeout=PATIENCE)
        with slots as answer:
            assert answer.status == 200


def test_the_end_of_its_standard_input_ends_all_of_it() -> None:
    with sandbox_command() as served:
        with subprocess.Popen(["ps", "-o", "pid=", "--ppid", str(served.process.pid)], stdout=subprocess.PIPE) as ps:
            children = ps.communicate()[0].decode().split()
        assert len(children) == 4
    assert served.process.returncode == 0
    wait_until(lambda: not [pid for pid in children if _is_running(pid)])


def _is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- the demos


def test_the_restarting_demo_breaks_every_long_answer(demos: SandboxCommand) -> None:
    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(lambda _: _end_of_a_long_answer(demos), range(4)))
    assert ends == ["broken"] * 4


def _end_of_a_long_answer(demos: SandboxCommand) -> str:
    headers = {"Authorization": f"Bearer {demos.key}", "Content-Type": "application/json"}
    body = b'{"stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}'
    asked = Request(f"{demos.base_url('demo-restarting')}/v1/chat/completions", body, headers)
    answers = list[str]()

    def is_answered() -> bool:
        try:
            with urlopen(asked, timeout=PATIENCE) as stream:
                stream.read()
                answers.append("whole")
        except IncompleteRead:
            answers.append("broken")
        except HTTPError as error:  # it was down just then
            error.close()
        return bool(answers)

    wait_until(is_answered)
    return answers[0]


def test_the_paused_demo_resumed_in_the_printed_file_is_ready(demos: SandboxCommand) -> None:
    assert demos.ask("demo-paused")[0] == 503
    path = Path(demos.said["config"])
    path.write_text(path.read_text().replace("status: paused", "status: ready"))
    wait_until(lambda: demos.ask("demo-paused")[0] == 200)


# --- a page in a browser

_ATTACK = """async (control) => {
  const send = (options) => fetch(`${control}/demo/__mock__/faults`, { mode: "no-cors", ...options });
  const form = Object.assign(document.createElement("form"), {
    action: `${control}/demo/__mock__/faults`, method: "POST", enctype: "text/plain", target: "frame",
  });
  document.body.innerHTML = `<iframe name="frame"></iframe>`;
  document.body.append(form);
  const framed = new Promise((resolve) => { document.querySelector("iframe").onload = resolve; });
  form.submit();
  await framed;
  await send({ method: "POST", body: "500" });
  const put = await fetch(`${control}/demo/__mock__/state`, { method: "PUT", body: '{"state": "crashed"}' })
    .then(() => "answered", () => "refused");
  const read = await fetch(`${control}/demo/__mock__/requests`).then(() => "answered", () => "refused");
  return [put, read];
}"""


@pytest.mark.parametrize("host", ["127.0.0.1", "rebound.example"])
async def test_a_page_in_chromium_cannot_drive_it(demos: SandboxCommand, host: str) -> None:
    require_chromium("a page that attacks the control port")
    port = demos.said["control_url"].rpartition(":")[2]
    async with running_chromium("--host-resolver-rules=MAP rebound.example 127.0.0.1") as browser:
        page = await browser.new_page()
        await page.goto(demos.said["url"].replace("127.0.0.1", "localhost") + "/healthz")
        assert await page.evaluate(_ATTACK, f"http://{host}:{port}") == ["refused", "refused"]
        answer = await page.goto(f"http://{host}:{port}/demo/__mock__/requests")
        assert answer is not None
        assert (answer.status == 403) is (host == "rebound.example")
    assert demos.control("GET", "demo/faults")[1] == {"faults": []}
    assert demos.ask("demo")[0] == 200


def test_what_it_prints_for_people_is_what_they_need() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0", "--stop-with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            said += process.stdout.readline()
        control = re.search(r"^control +(http://127\.0\.0\.1:\d+)$", said, re.MULTILINE)
        assert control is not None
        assert f"curl -X PUT {control[1]}/demo/__mock__/state" in said
        process.communicate(timeout=PATIENCE)
