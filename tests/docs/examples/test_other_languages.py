"""The how-to of docs/guide/other-languages.md, run by Node with the OpenAI SDK from the registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.docs_pages import examples

_SCRIPT = Path(__file__).with_name("other_languages.test.mjs")
_PAGE = Path(__file__).parents[3] / "docs/guide/other-languages.md"
_SDK = "openai@7.57.0"
_INSTALL_SECONDS = 20


def _install(folder: Path) -> None:
    """Skips where there is no registry to be reached, nor a cache of it."""
    command = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", _SDK]
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm found no registry in time; the how-to for other languages was not run")
    if run.returncode:
        pytest.skip("npm cannot install openai; the how-to for other languages was not run")


@pytest.mark.tools
def test_the_how_to_for_other_languages_works_with_nodes_own_test_runner(tmp_path: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed; the how-to for other languages was not run")
    _install(tmp_path)
    shutil.copy(_SCRIPT, tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["node", "--test", "--test-reporter=tap", _SCRIPT.name],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# pass 4" in run.stdout


def test_what_the_how_to_shows_is_what_is_run() -> None:
    shown = examples("javascript", pages=[_PAGE])
    assert len(shown) > 2
    assert not [example for example in shown if example.text.strip() not in _SCRIPT.read_text(encoding="utf-8")]
