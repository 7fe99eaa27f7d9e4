"""Run llama.cpp's own server test-suite, unmodified, against the mock, and compare with what is known to pass.

The suite is downloaded with pip (it lies in an sdist) into a cache outside the repository and is never committed.
Exit status 1: a test that is expected to pass did not. `--update` adds new passes to the list, which only grows.
"""

import argparse
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

SDIST = "llama-cpp-python==0.3.36"
CACHE = Path(os.environ.get("GGUF_GATEWAY_CACHE", Path.home() / ".cache" / "gguf-gateway"))
REPOSITORY = Path(__file__).resolve().parent.parent
EXPECTED = REPOSITORY / "tests" / "conformance" / "expected_pass.txt"
WANTED = ("vendor/llama.cpp/tools/server/tests/", "vendor/llama.cpp/models/templates/")
SUITE_TIMEOUT = "60"
# What the mock does not play at all; why: tests/conformance/README.md. Passing these would be an accident.
NOT_PLAYED = ("kv_keep_only_active", "lora", "mcp_servers", "speculative", "tools_builtin", "vision_api")


def fetch() -> Path:
    """The directory of the suite, downloaded and unpacked at the first run."""
    unpacked = CACHE / "suite" / SDIST.replace("==", "-")
    suite = unpacked / "vendor/llama.cpp/tools/server/tests"
    if suite.is_dir():
        return suite
    print(f"Downloading {SDIST} (77 MB) into {CACHE} ...", flush=True)
    downloads = CACHE / "downloads"
    name = SDIST.partition("==")[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
    subprocess.run([*pip, "--dest", str(downloads), SDIST], check=True)
    archive = next(downloads.glob("llama_cpp_python-*.tar.gz"))
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, inner = member.name.partition("/")
            if inner.startswith(WANTED):
                member.name = inner
                tar.extract(member, unpacked, filter="data")
    (suite / "tmp").mkdir(exist_ok=True)  # the suite writes there, and expects a build to have made it
    return suite


def environment_of(suite: Path) -> Path:
    """The Python of a virtual environment that holds the suite's own requirements."""
    home = CACHE / "venv"
    python = home / "bin" / "python"
    stamp = home / ".installed"
    if not stamp.exists():
        print("Installing the suite's requirements ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(suite / "requirements.txt"), "pytest-timeout"], check=True)
        stamp.touch()
    return python


def run(suite: Path, python: Path, names: list[str], workers: int) -> dict[str, str]:
    """Outcome by test name: passed, failed or skipped."""
    report = CACHE / "report.xml"
    report.unlink(missing_ok=True)
    mock = Path(sys.executable).with_name("mock-llama-server")
    environment = os.environ | {
        "LLAMA_SERVER_BIN_PATH": str(mock),
        "LLAMA_CACHE": str(CACHE / "models"),
        "MOCK_LLAMA_SERVER_STRICT": "1",
        "MOCK_LLAMA_SERVER_LOAD_SECONDS": "0.2",
    }
    command = [str(python), "-m", "pytest", "-q", "-m", "not slow", "--timeout", SUITE_TIMEOUT]
    command += [f"--ignore=unit/test_{name}.py" for name in NOT_PLAYED]
    command += ["-n", str(workers), "--dist", "worksteal", "--tb", "short", f"--junitxml={report}"]
    log = CACHE / "suite.log"
    with log.open("w") as output:
        subprocess.run([*command, *names], cwd=suite, env=environment, stdout=output, stderr=output, check=False)
    if not report.exists():
        sys.exit(f"The suite did not run; see {log}.")
    print(f"Log: {log}")
    return dict(_outcomes(report))


def _outcomes(report: Path) -> list[tuple[str, str]]:
    found = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  written by pytest on this machine
        module = case.get("classname", "").replace(".", "/")
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found.append((f"{module}.py::{case.get('name')}", outcome))
    return found


def compare(outcomes: dict[str, str], *, update: bool, partial: bool) -> int:
    """Print the count; the number of broken promises."""
    expected = set(EXPECTED.read_text().splitlines()) if EXPECTED.exists() else set()
    passed = {name for name, outcome in outcomes.items() if outcome == "passed"}
    missing = sorted((expected & set(outcomes) if partial else expected) - passed)
    new = sorted(passed - expected)
    print(f"{len(passed)} of {len(outcomes)} passed; {len(expected)} expected, {len(missing)} missing, {len(new)} new.")
    for name in missing:
        print(f"  no longer passes: {name}")
    for name in new:
        print(f"  new: {name}")
    if update:
        EXPECTED.parent.mkdir(parents=True, exist_ok=True)
        EXPECTED.write_text("\n".join(sorted(expected | passed)) + "\n")
    return len(missing)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="tests to run, as pytest wants them; all by default")
    parser.add_argument("--update", action="store_true", help="add what passes to the expected list")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    suite = fetch()
    outcomes = run(suite, environment_of(suite), arguments.names, arguments.workers)
    broken = compare(outcomes, update=arguments.update, partial=bool(arguments.names))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
