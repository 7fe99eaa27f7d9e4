"""nginx in front of a gateway, configured as its own beginners' guide does: with a `proxy_pass` and nothing else."""

import shutil
import socket
import subprocess
from pathlib import Path

_CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location {location} {{ proxy_pass http://127.0.0.1:{gateway}/; {further} }} }}
}}
"""


def is_installed() -> bool:
    """Whether there is an nginx on this machine."""
    return shutil.which("nginx") is not None


class Nginx:
    """A running nginx that passes `location` on to a gateway's port; `further` are directives of its location."""

    def __init__(self, folder: Path, gateway: int, location: str = "/", further: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        config = folder / "nginx.conf"
        values = {"folder": folder, "port": self.port, "location": location, "gateway": gateway, "further": further}
        config.write_text(_CONFIG.format(**values))
        self._process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)])
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError("nginx did not start")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def __enter__(self) -> "Nginx":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
