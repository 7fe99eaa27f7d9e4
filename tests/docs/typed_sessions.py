"""The sessions of a page, typed into a shell in their order: they print what the page says."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.docs.docs_pages import examples, matches, turns

_KEEP = "; export -p > kept.sh"  # for the next command


def they_print_what_they_say(page: Path, folder: Path, here: Callable[[str], str] = str) -> bool:
    """Whether all commands do, each as `here` makes it, beside the files that the page has. Fails with what differs."""
    for example in examples("console", "yaml", pages=[page]):
        if example.language == "yaml":
            assert example.file is not None
            (folder / example.file).write_text(example.text, encoding="utf-8")
            continue
        for command, promised in turns(example.text):
            said = _typed(here(command), folder)
            assert matches(said, promised), f"{example}: {command}\n{said}"
    return True


def _typed(command: str, folder: Path) -> str:
    """What a command prints, on both streams. What one exports, the next one finds."""
    (folder / "kept.sh").touch()
    path = f"{shlex.quote(str(Path(sys.executable).parent))}:{os.environ['PATH']}"
    done = subprocess.run(
        ("sh", "-c", f". ./kept.sh\nPATH={path}\n{command}{_KEEP}"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.stdout
