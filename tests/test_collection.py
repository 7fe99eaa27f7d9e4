"""What collecting the tests costs: every worker does it, and loads nothing that only some tests need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.patience import PATIENCE

_COLLECT = """
import sys, pytest
status = pytest.main(["--collect-only", "--quiet", "--cases", "some", "--loop", "turns", "-p", "no:cacheprovider"])
print(f"status {int(status)}", sorted({"anthropic.types", "openai.types", "playwright"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_collecting_the_tests_loads_no_sdk_and_no_browser() -> None:
    root = Path(__file__).parents[1]
    command = (sys.executable, "-c", _COLLECT)
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PATIENCE, check=False)
    *_, said = run.stdout.splitlines()
    assert said == "status 0 []", run.stdout[-2000:]
