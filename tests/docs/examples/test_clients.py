"""The examples of docs/guide/sdks.md, pasted as they stand: each with the packages that the comment above it names.

They are installed once, into the cache of what is not ours, and run in a process of their own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mockserver.sandbox import Sandbox
from tests.docs.docs_pages import Example, examples
from tests.harness.processes.foreign_packages import INSTALL_SECONDS, install

_PAGE = Path(__file__).parents[3] / "docs/guide/sdks.md"
_URL, _KEY = "http://127.0.0.1:8080/api/gguf/demo", "gw_sandbox_key_for_this_machine_only"
_RUN_SECONDS = 120
_PASTED = [
    one for one in examples("python", "javascript", pages=[_PAGE]) if (one.file or "").startswith(("pip ", "npm "))
]


def _name(example: Example) -> str:
    return re.sub(r"[^a-z0-9]+", "-", (example.file or "").split("==")[0].split("@")[0].lower())


@pytest.mark.tools
@pytest.mark.timeout(INSTALL_SECONDS + _RUN_SECONDS + 60)
@pytest.mark.parametrize("example", _PASTED, ids=_name)
def test_an_example_runs_when_it_is_pasted(example: Example, gguf_sandbox: Sandbox, tmp_path: Path) -> None:
    tool, *packages = str(example.file).split()
    folder = install(tool, packages)
    text = example.text.replace(_URL, gguf_sandbox["demo"].base_url).replace(_KEY, gguf_sandbox.key)
    assert text.count(gguf_sandbox["demo"].base_url) == example.text.count(_URL) > 0
    file = (folder if tool == "npm" else tmp_path) / ("pasted.mjs" if tool == "npm" else "pasted.py")
    file.write_text(text, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = ["node" if tool == "npm" else sys.executable, str(file)]
    run = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.strip()
    assert {one.status for one in gguf_sandbox["demo"].requests} == {200}


def test_every_example_says_what_it_was_tried_with() -> None:
    assert len(_PASTED) >= 10
    assert not [one for one in examples("python", "javascript", pages=[_PAGE]) if one.file is None]
    for example in _PASTED:
        assert all("@" in package[1:] or "==" in package for package in str(example.file).split()[1:]), example
