"""From the bytes of a configuration file to its settings. To import this takes 70 ms and 9 MB: pydantic judges them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.config.document import SourceError
from gateway.config.settings import Settings, parse
from gateway.registry.file_content import read_bytes


def read_settings(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a configuration file. Raises SourceError with every error in it."""
    return settings_in(read_bytes(path), path, environ)


def settings_in(
    raw: bytes, path: Path, environ: Mapping[str, str] | None = None, hosts: Sequence[str] = ()
) -> Settings:
    """The settings in these bytes of the file at `path`; else as `read_settings`.

    They are judged as those of a gateway that listens on `hosts`, if any are given.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{line}: the file is not UTF-8") from error
    return parse(text, str(path), os.environ if environ is None else environ, path.parent, hosts)
