"""The documents as tests read them: their links, their headings, their examples by language."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PATTERNS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "clients/*/README.md", "tests/*/README.md")
PAGES = sorted(page for pattern in _PATTERNS for page in ROOT.glob(pattern))

_FENCE = re.compile(
    r"(?:^<!-- (?P<file>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_OPERATORS = {"|", "&&", ";", "||", "&"}
_NAME = re.compile(r"^# (\S+\.\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A fenced block. `file` is the file it says it comes from, or is to be saved as."""

    page: Path
    line: int
    language: str
    text: str
    file: str | None

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """A page's path within the repository."""
    return str(page.relative_to(ROOT))


def examples(*languages: str, pages: list[Path] = PAGES) -> list[Example]:
    """All examples in one of these languages."""
    return [example for page in pages for example in _examples_of(page) if example.language in languages]


def _examples_of(page: Path) -> Iterator[Example]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        named = _NAME.match(found["text"])
        file = found["file"] or (named[1] if named else None)
        yield Example(page, text.count("\n", 0, found.start("text")), found["language"], found["text"], file)


def prose(page: Path) -> str:
    """A page without its examples."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """The targets of a page's links, those to other sites left out."""
    return [target for target in _LINK.findall(prose(page)) if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """What `#...` may follow the page's name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def turns(session: str) -> Iterator[tuple[str, str]]:
    """The commands of a session, each with what it prints. A command begins with `$ `, and goes on after a `\\`."""
    for turn in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, output = re.sub(r"\\\n\s*", " ", turn).partition("\n")
        yield command, output


def commands(example: Example) -> Iterator[list[str]]:
    """Every simple command of a shell example or a session, as words; redirections left out."""
    if example.language == "console":
        lines = [command for command, _ in turns(example.text)]
    else:
        lines = re.sub(r"\\\n\s*", " ", example.text).splitlines()
    for line in lines:
        yield from _simple(line)


def _simple(line: str) -> Iterator[list[str]]:
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    command: list[str] = []
    skip = False
    for word in words:
        if word in _OPERATORS:
            yield command
            command = []
        elif word.strip("<>") == "":
            skip = True
        elif skip:
            skip = False
        else:
            command.append(word)
    yield command


def matches(said: str, promised: str) -> bool:
    """Whether an output is what a document promises; there, `…` stands for anything in a line, `...` for lines."""
    lines = [re.escape(line.rstrip()).replace("…", ".*") for line in promised.strip().splitlines()]
    pattern = "\n".join(r"(?:.*\n)*?.*" if line == re.escape("...") else line for line in lines)
    shown = "\n".join(line.rstrip() for line in said.strip().splitlines())
    return re.fullmatch(pattern, shown) is not None
