"""What collecting the tests costs: every worker does it, and loads nothing that only some tests need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALL_FOR_THE_TOOLS
from tests.harness.patience import PATIENCE

_TESTS = Path(__file__).parent

_COLLECT = """
import sys, pytest
status = pytest.main(["--collect-only", "--quiet", "--cases", "some", "--loop", "turns", "-p", "no:cacheprovider"])
print(f"status {int(status)}", sorted({"anthropic.types", "openai.types", "playwright"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_collecting_loads_no_sdk_and_no_browser() -> None:
    command = (sys.executable, "-c", _COLLECT)
    run = subprocess.run(command, cwd=_TESTS.parent, capture_output=True, text=True, timeout=PATIENCE, check=False)
    *_, said = run.stdout.splitlines()
    assert said == "status 0 []", run.stdout[-2000:]


def test_a_module_left_out_is_marked_as_for_the_tools() -> None:
    """It is known by a line of its text: that is the module's own, and not one of a script within a string."""
    for path in _TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if ALL_FOR_THE_TOOLS.search(text):
            own = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
            assert any(ALL_FOR_THE_TOOLS.match(ast.unparse(node)) for node in own), path
