"""What collecting the tests costs: every worker does it, and loads nothing that only some tests need."""

import ast
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ALL_FOR_THE_TOOLS, ImportedWhenUsed
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


def test_threads_that_ask_together_wait_until_the_module_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_sdk").mkdir()
    (tmp_path / "late_sdk" / "__init__.py").write_text("import time\ntime.sleep(0.1)\nClient = 'the client'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "late_sdk", None)
    del sys.modules["late_sdk"]
    ImportedWhenUsed.put_in_place("late_sdk")
    together = threading.Barrier(4)

    def ask(_: int) -> str:
        together.wait()
        return str(sys.modules["late_sdk"].Client)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == ["the client"] * 4


def test_a_module_left_out_is_marked_as_for_the_tools() -> None:
    """It is known by a line of its text: that is the module's own, and not one of a script within a string."""
    for path in _TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if ALL_FOR_THE_TOOLS.search(text):
            own = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
            assert any(ALL_FOR_THE_TOOLS.match(ast.unparse(node)) for node in own), path
