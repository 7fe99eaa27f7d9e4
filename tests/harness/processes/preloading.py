"""Small libraries that are loaded before all others into one process, and change what the system tells it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE


def built(source: str, folder: Path) -> Path:
    """The library made of a C file beside this one. Skips the test where there is no compiler."""
    compiler, path = shutil.which("cc"), (folder / source).with_suffix(".so")
    if compiler is None:
        pytest.skip(f"a C compiler is needed for {source}")
    command = (compiler, "-O1", "-shared", "-fPIC", "-o", str(path), str(Path(__file__).with_name(source)))
    subprocess.run(command, check=True, timeout=PATIENCE)
    return path
