"""Packages that are not ours, of PyPI or npm, installed once into the cache of what is not ours."""

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.sandbox.real_server import cache

INSTALL_SECONDS = 400


def install(tool: str, packages: list[str]) -> Path:
    """The folder that holds these packages. Skips where there is no registry to be reached, or no Node."""
    if tool == "npm" and (shutil.which("node") is None or shutil.which("npm") is None):
        pytest.skip("Node is not installed; nothing of npm was tried")
    folder = cache() / "clients" / re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(packages))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the tests may be installing the same
        _install_once(tool, packages, folder)
    return folder


def _install_once(tool: str, packages: list[str], folder: Path) -> None:
    stamp = folder / ".installed"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--target", str(folder)]
        npm = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        command = [*(pip if tool == "pip" else npm), *packages]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, timeout=INSTALL_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{tool} took too long to install {' '.join(packages)}")
        if run.returncode:
            pytest.skip(f"{tool} cannot install {' '.join(packages)}")
        stamp.touch()
