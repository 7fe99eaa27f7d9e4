"""A `ca_file` is read while the gateway serves: what never ends, or takes long to read, is not opened."""

import os
from pathlib import Path

import pytest

from tests.unit.gateway.config.settings_texts import GOOD, errors_of

NO_PEM = "ca_file: is not a PEM certificate file"


def errors_with(ca_file: Path) -> str:
    return "".join(errors_of(GOOD.replace('9931"}', f'9931", ca_file: "{ca_file}"}}')))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert NO_PEM in errors_with(tmp_path / "pipe")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(device: str) -> None:
    assert NO_PEM in errors_with(Path(device))


def test_a_model_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "model.gguf").open("wb") as model:
        model.truncate(1 << 40)  # 1 TiB of nothing, on no disk
    assert NO_PEM in errors_with(tmp_path / "model.gguf")


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    assert "ca_file: cannot be read: No such file or directory" in errors_with(tmp_path / "none.pem")
