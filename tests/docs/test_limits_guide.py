"""The page about limits: its sessions are typed into a shell."""

from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT, examples, matches, turns
from tests.docs.test_team_guide import typed

pytestmark = pytest.mark.slow

_PAGE = ROOT / "docs" / "operate" / "limits.md"


def test_the_sessions_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for example in examples("console", "yaml", pages=[_PAGE]):
        if example.language == "yaml":
            assert example.file is not None
            (tmp_path / example.file).write_text(example.text, encoding="utf-8")
            continue
        for command, promised in turns(example.text):
            said = typed(command, tmp_path)
            assert matches(said, promised), f"{example}: {command}\n{said}"
