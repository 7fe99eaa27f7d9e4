"""A command, run in this process, and a configuration for it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.harness.processes.commands import CommandProcess, Run
from tests.harness.storage.config_files import written


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in this process, with `--database` of this test in place of `DB`."""

    def command(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        given = [str(tmp_path / "gateway.db") if argument == "DB" else argument for argument in arguments]
        result = CliRunner().invoke(main, given, input=stdin, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture
def command(tmp_path: Path) -> CommandProcess:
    """Commands as processes, on a database that is not there yet."""
    return CommandProcess(tmp_path / "gateway.db")
