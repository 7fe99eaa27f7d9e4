"""`mock-llama-server profile`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mockserver.cli.profiling.measuring import Measured, measure
from mockserver.cli.profiling.timed_answers import MeasuringError, timed_client

_PROFILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option("--upstream", metavar="URL", required=True, help="The llama-server to measure; it should be idle.")
@click.option("--to", "file", type=_PROFILE, required=True, help="File of the profile.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File of its key.")
@click.option("--source", default="", help="What the profile is of, for whoever reads it: model, machine, options.")
def profile(upstream: str, file: Path, key_file: Path | None, source: str) -> None:
    """Measure how fast a llama-server is, in about a minute, for `mock-llama-server --profile FILE`."""
    if not file.absolute().parent.is_dir():
        raise click.BadParameter(f"Directory '{file.parent}' does not exist.", param_hint="'--to'")
    try:
        key = key_file.read_text(encoding="utf-8").strip() if key_file else ""
        measured, props = asyncio.run(_measure(upstream, key))
        file.write_text(document(measured, source or str(props.get("model_alias", "")), props), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}.") from error
    except (MeasuringError, KeyError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Written to {file}; play it with mock-llama-server --profile {file}")


async def _measure(upstream: str, key: str) -> tuple[Measured, dict[str, Any]]:
    async with timed_client(upstream, key) as client:
        props = await client.props()
        return await measure(client, props, click.echo), props


def document(measured: Measured, source: str, props: dict[str, Any]) -> str:
    """The YAML of a profile of `source`; `props` are the server's."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    build = props.get("build_info", "a llama-server")
    lines = [
        "# How fast a llama-server was, for `mock-llama-server --profile`: seconds, and standard deviations as shares.",
        f"# {source}, {build}, measured on {when} with `mock-llama-server profile`.",
        f"slots: {measured.slots}",
        f"request_seconds: {measured.request_seconds:.4f}  # from a request's arrival until the first step",
        "answers:  # a step that gives each of so many answers a token",
        f"  std_dev: {measured.answers_std_dev:.3f}",
        f"  context_seconds: {measured.context_seconds:.8f}  # that it takes longer for each token of their contexts",
        *_curve(measured.answers),
        "prompts:  # a batch with so many tokens of prompts",
        f"  std_dev: {measured.prompts_std_dev:.3f}",
        *_curve(measured.prompts),
    ]
    return "\n".join(lines) + "\n"


def _curve(points: dict[int, float]) -> list[str]:
    return ["  seconds:", *(f"    {count}: {seconds:.5f}" for count, seconds in points.items())]
