"""What the documents promise holds: links, tables, settings, commands, sessions."""

import configparser
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Never

import click
import pytest
import yaml
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import main as gateway_cli
from gateway.cli.registry import live_readiness
from gateway.config.server_settings import ServerTimeouts
from gateway.config.settings import parse
from gateway.core import errors
from mockserver import MockLlamaServer
from mockserver.cli.main import main as mock_cli
from mockserver.play.scenario import load as load_scenario
from tests.docs.docs_blocks import rewritten, written_by_hand
from tests.docs.docs_pages import (
    PAGES,
    ROOT,
    Example,
    anchors,
    commands,
    examples,
    links,
    matches,
    name_of,
    prose,
    turns,
)

_MOCK = sorted(ROOT.glob("docs/guide/mock*.md"))
_WHOLE = ROOT / "docs" / "guide" / "testing.md"  # whose examples are whole files: see test_testing_guide.py
_SESSIONS = [
    ROOT / "docs" / "reference" / "configuration.md",
    *(ROOT / "docs" / "operate" / f"{page}.md" for page in ("accounts-and-keys", "database", "deployments")),
]
_HEADINGS = ("Date", "Status", "Context", "Decision", "Consequences")
_COMMANDS = {"gguf-gateway": gateway_cli, "mock-llama-server": mock_cli}
_CLIENTS = {"aider", "claude", "codex", "llm", "open-webui", "qwen"}
_OTHERS = _CLIENTS | {
    *("chmod", "curl", "export", "install", "llama-server", "npm", "pip", "python", "python3", "sqlite3"),
    *("systemctl", "useradd"),
}
_SANDBOX_URL = "http://127.0.0.1:8080"
_LONGEST_LINE = 120

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# --- pages


@every_page
def test_what_is_made_from_the_code_is_as_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert rewritten(text) == text, "run `make docs`, and write the cells it leaves empty"


@every_page
def test_no_cell_of_a_table_is_empty(page: Path) -> None:
    empty = [line for line in prose(page).splitlines() if re.search(r"^\|.*\|\s*\|", line)]
    assert not empty


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_no_line_of_prose_is_longer_than_the_house_allows(page: Path) -> None:
    if "<!-- Written by" in page.read_text(encoding="utf-8"):
        return  # a tool's own, as are the parts between comments
    lines = written_by_hand(prose(page)).splitlines()
    assert not [line for line in lines if len(line) > _LONGEST_LINE and not line.lstrip().startswith(("|", "<"))]


def test_the_list_of_the_documents_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert not [name_of(page) for page in PAGES if page not in listed and page.parent not in listed and page != index]


@every_page
def test_every_file_named_is_there(page: Path) -> None:
    named = re.findall(r"`((?:gateway|mockserver|tests|config|scripts|docs)/[\w./-]+)`", prose(page))
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_words_of_where_is_stand_where_it_says() -> None:
    rows = re.findall(r"^\| .*\]\(([\w/.]+)\) \| (.*) \|$", prose(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert len(rows) >= 24
    for path, cell in rows:
        assert (ROOT / path).is_file(), path
        code, names = (ROOT / path).read_text(encoding="utf-8"), re.findall(r"`([^`]+)`", cell)
        assert names, path
        assert not [name for name in names if name not in code], path


def test_the_request_walk_names_every_status_of_a_refused_request() -> None:
    walk = next(one.text for one in examples("text", pages=[ROOT / "README.md"]))
    refused = {row.status for row in (*errors.CONTRACT, *errors.FURTHER)}
    assert {int(status) for status in re.findall(r"\b\d{3}\b", walk)} == refused - {421, 500}
    modules = re.findall(r"[├└] (\w+)", walk)
    assert not [name for name in modules if not list((ROOT / "gateway").glob(f"**/{name}*.py"))]


def test_the_contract_says_which_of_its_rows_are_not_played() -> None:
    code = (ROOT / "gateway" / "cli" / "contract" / "conformance.py").read_text(encoding="utf-8")
    rows = {name: row.reason for name, row in vars(errors).items() if isinstance(row, errors.ErrorRow)}
    said = re.search(r"Not\s+played are ([^.]+)\.", prose(ROOT / "docs" / "reference" / "contract.md"))
    assert said is not None
    not_played = {reason for name, reason in rows.items() if not re.search(rf"errors\.{name}\b", code)}
    assert set(re.findall(r"`(\w+)`", said[1])) == not_played


def test_sdks_try_again_what_the_contract_lets_them() -> None:
    told: dict[int, set[bool]] = {}
    for row in (*errors.CONTRACT, *errors.FURTHER):
        if row not in (errors.CUT, errors.SILENT):  # in a stream, which has no headers any more
            told.setdefault(row.status, set()).add(row.headers.get("x-should-retry") == "true")
    page = prose(ROOT / "docs" / "guide" / "sdks.md")
    rows = re.findall(r"^\| (\d[\d, ]*) \|.*\| (yes|no)\b[^|]*\|$", page, re.MULTILINE)
    said = {int(status): again == "yes" for statuses, again in rows for status in statuses.split(", ")}
    assert told[429] == {True, False}, "the page says of which refusal which"
    assert said == {status: True in told[status] for status in (401, 404, 429, 502, 503, 504)}


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/develop/decisions/*.md")), ids=name_of)
def test_a_decision_is_one_page_of_five_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.name[:4]} ")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == _HEADINGS
    assert re.search(r"^## Date\n\n\d{4}-\d\d-\d\d\n", text, re.MULTILINE)
    assert len(text.splitlines()) <= 60


def test_the_newest_release_of_the_changelog_is_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[([^\]]+)\]", text, re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert sections[1:2] in ([], [__version__])


# --- examples


@pytest.mark.parametrize("example", examples("yaml", pages=_MOCK), ids=str)
def test_a_scenario_in_the_documents_is_a_good_one(example: Example) -> None:
    assert load_scenario(yaml.safe_load(example.text)).timeline


@pytest.mark.parametrize("example", examples("yaml", pages=[page for page in PAGES if page not in _MOCK]), ids=str)
def test_a_configuration_in_the_documents_is_a_good_one(example: Example) -> None:
    parse(example.text, str(example), {"LLAMA_API_KEY": "secret", "OIDC_CLIENT_SECRET": "secret"})


@pytest.mark.parametrize("example", examples("python", pages=[page for page in PAGES if page != _WHOLE]), ids=str)
def test_python_in_the_documents_is_a_piece_of_a_test(example: Example) -> None:
    assert example.file is not None, "name the file in a comment above"
    if example.file.startswith("pip "):
        return  # pasted and run by tests/docs/examples/test_clients.py
    assert example.text.strip() in (ROOT / example.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("example", examples("shell", "console"), ids=str)
def test_commands_in_the_documents_are_understood(example: Example) -> None:
    for words in commands(example):
        command = words[words.index("--") + 1 :] if words[0] == "runuser" else words
        name = Path(command[0]).name
        if name in _COMMANDS:
            _understand(_COMMANDS[name], command[1:])
        elif name == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert all(f"\n{target}:" in makefile for target in command[1:] if "=" not in target), command
        else:
            assert name in _OTHERS, command


def _understand(command: click.Command, words: list[str]) -> None:
    """Parse a command line with click's own parser. Raises UsageError."""
    context = command.make_context("x", list(words))
    while isinstance(command, click.Group):
        _, inner, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        command, context = inner, inner.make_context(inner.name, words, parent=context)


@pytest.mark.parametrize("page", _SESSIONS, ids=name_of)
def test_sessions_print_what_the_documents_say(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_url: str) -> Never:
        raise ConnectionRefusedError  # whoever reads this may have a gateway at the documents' port

    monkeypatch.setattr(live_readiness, "_get", nobody)
    monkeypatch.chdir(tmp_path)
    for example in examples("console", "yaml", "text", pages=[page]):
        if example.language != "console":
            if example.file is not None:
                Path(example.file).write_text(example.text, encoding="utf-8")
                Path(example.file).chmod(0o600)
            continue
        for command, promised in turns(example.text):
            said = _run(command)
            assert matches(said, promised), f"{example}: {command}\n{said}"


def _run(command: str) -> str:
    """What a command of a session prints, on both streams. `sqlite3` is played by Python's own."""
    words = shlex.split(command)
    if words[0] == "gguf-gateway":
        return CliRunner().invoke(gateway_cli, words[1:]).output
    if words[0] == "sqlite3":
        with sqlite3.connect(words[1]) as connection:
            return "\n".join("|".join(map(str, row)) for row in connection.execute(words[2]))
    assert words[0] == "chmod", command
    Path(words[2]).chmod(int(words[1], 8))
    return ""


def test_the_unit_file_gives_the_gateway_time_to_drain() -> None:
    example = next(one for one in examples("ini") if "ExecStart" in one.text)
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(example.text)
    assert float(unit["Service"]["TimeoutStopSec"]) > ServerTimeouts().drain + 2
    words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(words[0]).name == "gguf-gateway"
    _understand(gateway_cli, words[1:])


# --- the README's and the mock's sessions, really run


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[str, str]]:
    """`gguf-gateway sandbox`: its URL, and what it printed until it was up."""
    command = [sys.executable, "-m", "gateway", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url is not None, said
        yield url[0], said
        process.terminate()
        process.stdout.read()


@pytest.mark.slow
def test_make_run_prints_what_the_readme_says(sandbox: tuple[str, str]) -> None:
    url, said = sandbox
    promised = next(output for command, output in _readme() if command == "make run")
    assert matches(_aligned(said), _aligned(promised.replace(_SANDBOX_URL, url)))


def _aligned(text: str) -> str:
    """Columns one space apart: their width follows the port's."""
    return re.sub(r" {2,}", " ", text)


@pytest.mark.slow
def test_the_readmes_answer_streams(sandbox: tuple[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the README's session was not run")
    url, _ = sandbox
    command, promised = next(turn for turn in _readme() if turn[0].startswith("curl"))
    said = subprocess.run(shlex.split(command.replace(_SANDBOX_URL, url)), capture_output=True, text=True, check=True)
    assert matches(said.stdout, promised), said.stdout


def _readme() -> list[tuple[str, str]]:
    return [turn for one in examples("console", pages=[ROOT / "README.md"]) for turn in turns(one.text)]


@pytest.mark.parametrize("page", _MOCK, ids=name_of)
def test_the_mocks_sessions_print_what_the_document_says(page: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed; the mock's sessions were not run")
    with MockLlamaServer(clock="virtual" if page.name == "mock-scenarios.md" else "real") as mock:
        for example in examples("console", pages=[page]):
            for command, promised in turns(example.text):
                here = command.replace("http://127.0.0.1:9931", mock.url)
                here = here.replace("http://127.0.0.1:9932", mock.control_url)
                run = subprocess.run(shlex.split(here), capture_output=True, text=True, check=True)
                assert matches(run.stdout, promised), f"{example}: {command}\n{run.stdout}"
