"""`mock-llama-server record` and `replay`."""

import asyncio
import signal
from pathlib import Path
from urllib.parse import urlsplit

import click
from aiohttp import web

from mockserver.core.listening.listener import Listener
from mockserver.core.listening.port import Port, PortTaken
from mockserver.play.recording.recorder import Recorder
from mockserver.play.recording.recording_file import RecordingError
from mockserver.play.recording.replayer import Replayer

_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_port = click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")


class Speed(click.ParamType[float]):
    """`real`, `none`, or how many times as fast."""

    name = "real|N|none"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The factor; 0 for no delay at all."""
        known = {"real": 1.0, "none": 0.0}
        try:
            speed = known[str(value)] if str(value) in known else float(str(value))
        except ValueError:
            speed = -1.0
        if not 0 <= speed < float("inf"):
            self.fail("a speed is `real`, `none`, or a number like 10 for ten times as fast", param, ctx)
        return speed


@click.command()
@click.option(
    "--upstream", metavar="URL", required=True, help="The llama-server to record, like http://127.0.0.1:9931."
)
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True, help="Directory; made if need be.")
@_host
@_port
def record(upstream: str, folder: Path, host: str, port: int) -> None:
    """Pass everything on to a llama-server, and keep each exchange as a file: bytes, pieces and times, no keys."""
    try:
        recorder = Recorder(upstream, folder, click.echo)
        click.echo(f"main: recording {urlsplit(upstream).hostname} to {folder}")
        asyncio.run(_serve(recorder.app(), host, port))
    except (RecordingError, PortTaken) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--speed", type=Speed(), default="real", show_default=True, help="10 is ten times as fast; none: at once."
)
@_host
@_port
def replay(folder: Path, speed: float, host: str, port: int) -> None:
    """Answer as was recorded. What was not asked then is a 404 that lists what was."""
    try:
        replayer = Replayer(folder, speed)
        click.echo(f"main: replaying {len(replayer.recordings)} exchanges of {folder}")
        asyncio.run(_serve(replayer.app(), host, port))
    except (RecordingError, PortTaken) as error:
        raise click.ClickException(str(error)) from error


async def _serve(app: web.Application, host: str, port: int) -> None:
    """Run until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    listener = Listener(app, Port(host, port))
    await listener.open()
    click.echo(f"main: server is listening on {listener.url}")
    await stopped.wait()
    await listener.release()
