"""The lines that a deployment's page has for each tool are those that the documents have, and the tests there run."""

from pathlib import Path

from gateway.server.pages.deployments.tool_settings import settings_for

_DOCS = Path(__file__).parents[5] / "docs" / "guide" / "sdks.md"


def test_each_tools_lines_are_those_of_the_documents() -> None:
    text = _DOCS.read_text(encoding="utf-8")
    shown = settings_for("http://127.0.0.1:8080/api/gguf/demo", "gw_sandbox_key_for_this_machine_only")
    assert len(shown) > 10
    assert [tool.tool for tool in shown if f"\n{tool.code}```" not in text] == []
