"""`make lock`: work out by uv, from the ranges in setup.cfg, which version of what is installed, with its hashes.

`requirements/` holds what came out, for every Python and platform supported. With `--resolution` the same is worked out
for this Python alone, into a folder of your choice: the newest or the lowest of everything that setup.cfg names.
"""

import argparse
import configparser
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "requirements"
EXTRAS = ("test", "check")
_OLDEST = "3.11"
_COMMAND = "make lock"


def build_system() -> list[str]:
    """What builds the project, as pyproject.toml names it: pip installs it offline, so it is locked too."""
    wanted: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    return wanted


def ranges(*extras: str) -> list[str]:
    """The requirements of setup.cfg: those of the project itself, or those of some extras."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = [config["options.extras_require"][extra] for extra in extras] or [config["options"]["install_requires"]]
    return [line for one in lists for line in one.splitlines() if line]


def resolve(wanted: list[str], *options: str) -> str:
    """A requirements file that pins all of `wanted` and what they require. Raises CalledProcessError; uv says why."""
    uv = [sys.executable, "-m", "uv", "--no-config", "--quiet", "pip", "compile", "-"]
    form = ["--generate-hashes", "--custom-compile-command", _COMMAND, "--default-index", "https://pypi.org/simple"]
    # Nothing of this machine may decide what is locked: neither its indexes nor its Python.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    done = subprocess.run(
        [*uv, *form, *options], input="\n".join(wanted), stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return done.stdout


def write(folder: Path, *options: str) -> None:
    """Write `development.txt`, and `run.txt` with the same version of whatever it names."""
    run = [*build_system(), *ranges()]
    folder.mkdir(parents=True, exist_ok=True)
    development = folder / "development.txt"
    development.write_text(resolve([*run, *ranges(*EXTRAS)], *options), encoding="utf-8")
    (folder / "run.txt").write_text(
        resolve(run, "--constraints", str(development), "--no-annotate", *options), encoding="utf-8"
    )


def main() -> None:
    """Renew `requirements/`, or write another resolution elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lock", description=__doc__)
    parser.add_argument("--resolution", choices=("latest", "lowest"), help="for this Python alone, into FOLDER")
    parser.add_argument("folder", nargs="?", type=Path, default=LOCKS)
    asked = parser.parse_args()
    if asked.resolution is not None:
        how = {"latest": "highest", "lowest": "lowest-direct"}[asked.resolution]
        write(asked.folder, "--resolution", how)
        return
    everywhere = ("--universal", "--python-version", _OLDEST)
    write(LOCKS, *everywhere)
    (LOCKS / "uv.txt").write_text(resolve(ranges("lock"), *everywhere), encoding="utf-8")


if __name__ == "__main__":
    main()
