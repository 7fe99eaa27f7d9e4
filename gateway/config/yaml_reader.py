"""YAML text into plain values which still know their lines. Pure: no I/O.

It is built from the parser's events and not by `yaml.load`, so that no file can recurse (libyaml's own composer
overflows the C stack at some ten thousand brackets), name a Python object, or grow by its aliases.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from gateway.config.document import MAX_CHARS, Document, Path, SourceError

_MAX_DEPTH = 32
_MAX_ALIASED = 10_000
_ENVIRONMENT = re.compile(r"\$\{([^}]*)\}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALARS = SafeConstructor()
_RESOLVER = Resolver()
_ODD_KEY = "a name here is read as something other than text; put it in quotes"
_MERGE = "merge keys (`<<`) are not supported; write the settings out"
_RESERVED = "`<<` and `=` mean something of their own in YAML; put it in quotes"


def read_yaml(text: str, source: str, environ: Mapping[str, str]) -> Document:
    """Read one YAML document, with every `${NAME}` in a string replaced from `environ`.

    The document's `errors` may be filled already (doubled fields, missing variables, ...), and `is_partial` is set if
    merge keys are among them. Raises SourceError where the text is not YAML at all.
    """
    if len(text) > MAX_CHARS:
        raise SourceError(f"{source}:1: the file is longer than {MAX_CHARS} characters")
    composer = _Composer(source)
    for event in _events(text, source):
        composer.take(event)
    document = Document(source)
    if composer.top.items:
        reader = _Reader(document, environ, composer.written + _MAX_ALIASED)
        document.value = reader.value(composer.top.items[0], ())
        document.is_partial = reader.merges
    return document


def _raise_if_too_deep(text: str, source: str, line: int) -> None:
    """Raise our own SourceError where depth is why libyaml has given up in this `line`.

    It reads a line ahead before it tells of its first bracket, and newer ones stop at a depth of their own. PyYAML's
    parser in Python has no such limit, but takes 6 µs a character: it is asked only about a line full of brackets.
    """
    if len(re.findall(r"[\[{]", "".join(text.splitlines()[line - 1 : line]))) < _MAX_DEPTH:
        return
    depth = 0
    with suppress(yaml.YAMLError):  # what else may be wrong with the text has been said already
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth >= _MAX_DEPTH:
                raise _too_deep(source, line)


def _too_deep(source: str, line: int) -> SourceError:
    return SourceError(f"{source}:{line}: values are nested more than {_MAX_DEPTH} deep")


def _events(text: str, source: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SourceError(f"{source}:{line}: this character is not allowed in YAML") from error
    except UnicodeError as error:
        raise SourceError(f"{source}:1: the file is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        # What is missing at the end is missed one line below it.
        line = min(error.problem_mark.line if error.problem_mark else 0, text.count("\n")) + 1
        _raise_if_too_deep(text, source, line)
        # The parser's words, less what they quote, and not as the cause: either could show a key.
        words = re.sub(r"'[^'\s]{2,}'", "'...'", error.problem or "it ends too early")
        hint = _hint(words, text.splitlines()[line - 1 : line])
        raise SourceError(f"{source}:{line}: not valid YAML: {words}{hint}") from None


def _hint(words: str, lines: list[str]) -> str:
    if "cannot start any token" in words:
        return " (a tab? indent with spaces)"
    return " (inside braces, put ${NAME} in quotes)" if any("${" in line for line in lines) else ""


@dataclass(slots=True)
class _Node:
    """One value of the text. `items` holds a list's values, or a mapping's keys and values by turns."""

    kind: str
    line: int
    text: str = ""
    tag: str = ""
    items: list["_Node"] = field(default_factory=list)
    anchor: str | None = None


class _Composer:
    """Makes a tree of events. An aliased node is in it several times, as one object."""

    def __init__(self, source: str) -> None:
        self.top = _Node("list", 1)
        self.written = 0
        self._source = source
        self._open = [self.top]
        self._anchors: dict[str, _Node] = {}

    def take(self, event: yaml.Event) -> None:
        """Add what the parser has seen next."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            self._add(_Node("scalar", line, event.value, _scalar_tag(event), anchor=event.anchor))
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            node = _Node(kind, line, tag=event.tag or "", anchor=event.anchor)
            self._open[-1].items.append(node)
            self._open.append(node)
            if len(self._open) > _MAX_DEPTH:
                raise _too_deep(self._source, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise SourceError(f"{self._source}:{line}: undefined alias")
            self._open[-1].items.append(self._anchors[event.anchor])
        elif isinstance(event, yaml.DocumentStartEvent) and self.top.items:
            raise SourceError(f"{self._source}:{line}: a second document begins here; one is all a file may hold")

    def _add(self, node: _Node) -> None:
        self.written += 1
        self._open[-1].items.append(node)
        if node.anchor:
            self._anchors[node.anchor] = node

    def _close(self) -> None:
        """End the innermost list or mapping. Its anchor counts only from here, so that nothing contains itself."""
        node = self._open.pop()
        self.written += 1
        if node.anchor:
            self._anchors[node.anchor] = node


def _scalar_tag(event: yaml.ScalarEvent) -> str:
    if event.tag is None and event.implicit[0]:
        tag: str = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        return tag
    return str(event.tag or _TAG + "str")


class _Reader:
    """Turns the tree into plain values, noting lines and errors by path."""

    def __init__(self, document: Document, environ: Mapping[str, str], most: int) -> None:
        self._document = document
        self._environ = environ
        self._left = most
        self.merges = False

    def value(self, node: _Node, path: Path) -> object:
        """The plain value of a node: dict, list, str, int, float, bool or None."""
        self._document.lines.setdefault(path, node.line)
        self._left -= 1
        if self._left < 0 or len(path) > _MAX_DEPTH:
            raise SourceError(f"{self._document.source}:{node.line}: aliases expand to too many or too deep values")
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.tag:
            self._document.add_error(path, "YAML tags are not allowed")
            return None
        if node.kind == "list":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
        return self._mapping(node, path)

    def _mapping(self, node: _Node, path: Path) -> dict[str, object]:
        fields: dict[str, object] = {}
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            if key.tag == _TAG + "merge":
                self.merges = True
                self._document.add_error(path, _MERGE, key.line)
            elif key.kind != "scalar" or key.tag != _TAG + "str":
                self._document.add_error(path, _ODD_KEY, key.line)
            elif key.text in fields:
                self._document.add_error((*path, key.text), "is defined twice", key.line)
            else:
                self._document.lines[(*path, key.text)] = key.line
                fields[key.text] = self.value(value, (*path, key.text))
        return fields

    def _scalar(self, node: _Node, path: Path) -> object:
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "str" | "timestamp":
                    return _ENVIRONMENT.sub(lambda match: self._variable(match[1], path), node.text)
                case "null":
                    return None
                case "int" | "float" | "bool":
                    return getattr(_SCALARS, f"construct_yaml_{kind}")(yaml.ScalarNode(node.tag, node.text))
        except (ValueError, OverflowError):
            self._document.add_error(path, "is not a valid number")
            return None
        self._document.add_error(path, _RESERVED if kind in {"merge", "value"} else "YAML tags are not allowed")
        return None

    def _variable(self, name: str, path: Path) -> str:
        if name not in self._environ:
            self._document.add_error(path, _why_not(name))
            return ""
        return self._environ[name]


def _why_not(name: str) -> str:
    """Why nothing can take the place of `${name}`. What a shell would fall back on may be a key, and is not shown."""
    found = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]{0,63})(:?[-=?+].*)?", name, re.DOTALL)
    if found is None:
        return "the environment variable ... is not set"
    if found[2]:
        return f"`${{{found[1]}{found[2][: 1 + found[2].startswith(':')]}...}}` is not supported; `${{{found[1]}}}` is"
    return f"the environment variable {name} is not set"
