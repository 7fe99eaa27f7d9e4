"""llama-server's own command line: taken as it is, with the real one's meaning where it changes an answer."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mockserver.cli import main
from mockserver.core.options import Options


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """The settings a command would have served with."""
    seen: list[Options] = []

    def serve(options: Options, *_: Any) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(main, "_serve", serve)
    return seen


def run(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(main.main, arguments, env=environment, catch_exceptions=False)


def test_options_without_meaning_for_a_mock_are_left_out(started: list[Options]) -> None:
    result = run("-ngl", "99", "--port", "1", "-ctk", "f16", "--mlock", "-fa", "on", "--threads", "-1", "-v")
    assert started[0].port == 1
    assert result.output == "main: ignored: -ngl 99 -ctk f16 --mlock -fa on --threads -1\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-np", "2", "-c", "512"], {"slots": 2, "slot_context": 256}),
        (["--control-names", "mock,localhost.test"], {"control_names": ("mock", "localhost.test")}),
        (["--answers", "of/a.yaml", "--else", "http://h"], {"else_url": "http://h", "recordings": "of/a.recordings"}),
        (["--else", "http://h", "--recordings", "kept"], {"recordings": "kept"}),
        (["--else", "http://h"], {"recordings": "recordings"}),
        (["-c", "512"], {"slots": 4, "slot_context": 512}),
        (["-np", "2", "-kvu", "-c", "512"], {"slot_context": 512}),
        (["--alias", "b,a"], {"model_name": "a", "aliases": ["a", "b"], "router": False}),
        (["-m", "/models/x.gguf"], {"model_name": "x.gguf", "model_path": "/models/x.gguf"}),
        (["-hf", "org/repo:Q8_0"], {"model_path": "org/repo_Q8_0.gguf"}),
        (["--seed", "7"], {"seed": 7, "sampling_seed": 7}),
        (["--no-slots", "--metrics"], {"slots_endpoint": False, "metrics_endpoint": True}),
        (["--no-jinja"], {"jinja": False}),
        (["--no-cors-credentials"], {"cors_credentials": False}),
        (["--api-key", "a,b"], {"api_keys": ("a", "b")}),
        (["--tools", "all"], {"allowed_origins": "localhost"}),
        (["--router"], {"router": True}),
        (["--port", "0", "--temp", "0", "--load-seconds", "0"], {"port": 0, "temperature": 0.0, "load_seconds": 0.0}),
        ([], {"router": False, "jinja": True, "slots_endpoint": True, "allowed_origins": "*"}),
    ],
)
def test_an_option_means_what_it_means_to_the_real_one(
    started: list[Options], arguments: list[str], expected: dict[str, Any]
) -> None:
    assert run(*arguments).exit_code == 0
    assert {name: getattr(started[0], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LLAMA_ARG_HF_REPO", "org/repo:Q8_0", {"model_path": "org/repo_Q8_0.gguf"}),
        ("LLAMA_ARG_N_PREDICT", "7", {"n_predict": 7}),
        ("LLAMA_ARG_EMBEDDINGS", "1", {"embeddings": True}),
        ("LLAMA_ARG_EMBEDDINGS", "0", {"embeddings": False}),
        ("LLAMA_ARG_ENDPOINT_METRICS", "true", {"metrics_endpoint": True}),
        ("LLAMA_ARG_ENDPOINT_SLOTS", "off", {"slots_endpoint": False}),
        ("LLAMA_ARG_JINJA", "false", {"jinja": False}),
        ("LLAMA_ARG_THINK", "none", {"reasoning_format": "none"}),
        ("LLAMA_ARG_CTX_SIZE", "512", {"slot_context": 512}),
        ("LLAMA_API_KEY", "a,b", {"api_keys": ("a", "b")}),
    ],
)
def test_an_option_may_be_a_variable_as_that_of_a_container(
    started: list[Options], variable: str, value: str, expected: dict[str, Any]
) -> None:
    assert run(environment={variable: value}).exit_code == 0
    assert {name: getattr(started[0], name) for name in expected} == expected


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--usage", "Usage: "),
        ("--list-devices", "Available devices:\n  (none)\n"),
        ("--cache-list", "number of models in cache: 0\n"),
        ("-cl", "number of models in cache: 0\n"),
    ],
)
def test_an_option_that_only_asks_is_answered_and_starts_nothing(
    started: list[Options], option: str, said: str
) -> None:
    result = run(option, "--port", "0")
    assert result.exit_code == 0
    assert result.output.startswith(said)
    assert not started


def test_recordings_alone_say_what_they_are_for(started: list[Options]) -> None:
    result = run("--recordings", "kept")
    assert result.output == "Error: --recordings is for --else URL: name that server, even if it is away.\n"
    assert not started


def test_without_a_model_the_strict_mock_is_a_router(started: list[Options]) -> None:
    run(environment={"MOCK_LLAMA_SERVER_STRICT": "1"})
    run("-m", "x.gguf", environment={"MOCK_LLAMA_SERVER_STRICT": "1"})
    assert [options.router for options in started] == [True, False]


def test_keys_come_from_a_file_too(started: list[Options], tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# whose\none\n\ntwo\n")
    run("--api-key-file", str(file), "--api-key", "zero")
    assert started[0].api_keys == ("zero", "one", "two")
    assert "zero" not in repr(started[0])


def test_a_template_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "broken.jinja"
    file.write_text("{% for %}")
    result = run("--port", "0", "--chat-template-file", str(file))
    assert result.exit_code == 1
    assert result.output.startswith("build_info") or result.output.startswith("Error: the chat template is not")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--state", "on fire"],
        ["--tps", "-1"],
        ["--port", "x"],
        ["--port", "70000"],
        ["--control-port", "70001"],
        ["--port", "-1"],
        ["--jitter", "2"],
    ],
)
def test_a_bad_value_is_refused(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.output


def test_an_option_of_the_mocks_own_that_is_misspelt_is_refused() -> None:
    result = run("--load-second", "5")
    assert result.exit_code == 2
    assert "Did you mean '--load-seconds'?" in result.output


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (["--prot", "1234"], "warning: --prot is no option of llama-server and is ignored; did you mean --port?"),
        (["--n-gpu-layer=9"], "warning: --n-gpu-layer is no option of llama-server and is ignored; did you mean "),
        (["--frobnicate"], "warning: --frobnicate is no option of llama-server and is ignored\n"),
        (["-Z", "x"], "warning: -Z is no option of llama-server and is ignored\n"),
        (["--chat-template-kwargs", "{}", "--spec-type", "none", "--grp_attn_n", "4"], ""),
    ],
)
def test_an_option_that_llama_server_has_not_either_is_warned_of(
    started: list[Options], arguments: list[str], warning: str
) -> None:
    result = run(*arguments, "--tps", "5")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith(warning)
    assert len(result.stderr.splitlines()) == bool(warning)
    assert started[0].tokens_per_second == 5


def test_an_underscore_is_as_good_as_a_hyphen(started: list[Options]) -> None:
    run("--ctx_size", "512", "--chat_template=a_b")
    assert (started[0].slot_context, started[0].chat_template) == (512, "a_b")
