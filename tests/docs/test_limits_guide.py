"""The page about limits: its sessions are typed into a shell."""

from pathlib import Path

import pytest

from tests.docs.docs_pages import ROOT
from tests.docs.typed_sessions import they_print_what_they_say

pytestmark = pytest.mark.slow


def test_the_sessions_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert they_print_what_they_say(ROOT / "docs" / "operate" / "limits.md", tmp_path)
