"""A release of aiohttp that lacks what is not documented: the gateway says what is lost, and serves on if it can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.witness import WITNESS, was_fast
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat

pytestmark = pytest.mark.slow  # each test is a process: `make test-tools` runs them

# Loaded before anything else (`sitecustomize`): aiohttp's source is read with one of its names replaced by another.
OTHER_RELEASE = """
import importlib.abc, importlib.machinery, importlib.util, sys

MODULE, OLD, NEW = {change!r}


class Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, **options):
        return super().source_to_code(data.replace(OLD.encode(), NEW.encode()), path, **options)

    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        origin = importlib.machinery.PathFinder.find_spec(name, path).origin
        return importlib.util.spec_from_file_location(name, origin, loader=Loader(name, origin))


sys.meta_path.insert(0, Finder())
"""
LOST = {
    "_waiter": ("_waiter", "without the fast path"),
    "_next_keepalive_close_time": ("_next_keepalive_close_time", "without the fast path"),
    "_request_count": ("_request_count", "a badly framed body is refused only when its time is over"),
}


def release_without(folder: Path, module: str, name: str, further: str = "") -> dict[str, str]:
    """The environment of a process in which `module` of aiohttp calls `name` something else."""
    text = OTHER_RELEASE.format(change=(f"aiohttp.{module}", name, f"{name}_renamed"))
    (folder / "sitecustomize.py").write_text(text + further)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(("name", "lost"), LOST.values(), ids=LOST.keys())
def test_what_a_release_lacks_is_said_and_the_rest_works(
    start_gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path, name: str, lost: str
) -> None:
    environ = release_without(tmp_path, "web_protocol", name, WITNESS)
    gateway = start_gateway(scene.config(upstream.url), (), environ)
    assert gateway.log.wait_for(rf"lacks RequestHandler\.{name}: .*{lost}")
    start = gateway.mark_log()
    for number in (1, 2):
        assert gateway.ask(chat("demo", f"x-request-id: number-{number}")).status == 200
    assert was_fast(gateway, "number-2", start) == ("fast path" not in lost)


def test_without_a_server_of_its_own_it_says_so_and_ends(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(scene.config("http://127.0.0.1:1"))
    config.chmod(0o600)
    environ = release_without(tmp_path, "web_runner", "_make_server")
    done = subprocess.run(
        (sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"),
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: aiohttp ")
    assert "lacks AppRunner._make_server, which the gateway needs" in done.stderr
