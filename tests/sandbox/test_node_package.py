"""The Node package by its own tests, which run it against the commands of this environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parents[2] / "clients/node"
_SECONDS = 240


@pytest.mark.tools
@pytest.mark.timeout(_SECONDS + 10)
@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed; its package was not tested")
def test_the_node_package_passes_its_tests() -> None:
    environ = {**os.environ, "GGUF_GATEWAY_BIN": str(Path(sys.executable).parent)}
    run = subprocess.run(
        ["node", "--test"], cwd=_PACKAGE, env=environ, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\n# fail 0\n" in run.stdout
