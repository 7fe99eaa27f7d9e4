"""Whoever follows a release of llama.cpp finds the module of the mock that has to follow."""

from tests.docs.docs_blocks import mirrored
from tests.docs.docs_pages import ROOT

FOLLOWING = ("mockserver/engine", "mockserver/api", "mockserver/server")
# What llama.cpp has nothing of: the pretended model, its texts and its time, and the mock as an object.
OWN = (
    *("mockserver/engine/model/", "mockserver/engine/grammar/", "mockserver/engine/scheduling/"),
    *("mockserver/engine/answer_plan.py", "mockserver/engine/canned_answers.py"),
    *("mockserver/server/mock_server.py", "mockserver/server/option_keywords.py", "mockserver/server/awaited_mock.py"),
    *("mockserver/server/background_thread.py", "mockserver/server/faults/"),
)


def test_each_module_names_the_file_that_it_mirrors_or_is_the_mocks_own() -> None:
    modules = {
        str(path.relative_to(ROOT))
        for folder in FOLLOWING
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    silent = modules - set(mirrored())
    assert not [module for module in sorted(silent) if not module.startswith(OWN)]


def test_what_they_mirror_are_paths_in_llama_cpp() -> None:
    assert all(mirrored().values())
    named = {source for sources in mirrored().values() for source in sources}
    folders = ("common/", "src/", "tools/server/", "tools/mtmd/", "vendor/")
    assert not [source for source in sorted(named) if not source.startswith(folders)]
