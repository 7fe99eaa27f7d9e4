"""Compares how fast two servers are under load: a llama-server, and the mock that plays its profile.

For 1, 4 and 16 clients, each asking for one answer after the other: when the status came (until then a request waits
for a slot), when the first token, how long the prompt was read, and how long a token took; of each the middle and the
90th percentile.
"""

import asyncio
from collections.abc import Callable, Sequence
from statistics import median, quantiles

import click

from mockserver.cli.profiling.timed_answers import MeasuringError, TimedAnswer, TimedClient, timed_client

_CLIENTS = (1, 4, 16)
_ANSWERS = {1: 8, 4: 4, 16: 2}
"""How many each client asks for."""

_FIGURES: dict[str, Callable[[TimedAnswer], float]] = {
    "waiting for a slot": lambda answer: answer.head,
    "first token": lambda answer: answer.first_token,
    "reading the prompt": lambda answer: answer.prompt_seconds,
    "a token": lambda answer: answer.token_seconds,
}
_TOLERANCE = 0.15
_ALIKE_SECONDS = 0.02  # that two figures may be apart in any case: what a busy machine adds to either

Figures = dict[tuple[int, str, str], float]


@click.command(help=__doc__)
@click.option("--upstream", required=True, help="URL of the llama-server.")
@click.option("--mock", required=True, help="URL of the mock.")
@click.option("--prompt", default=200, show_default=True, help="Tokens of a prompt.")
@click.option("--tokens", default=48, show_default=True, help="Tokens of an answer.")
def main(upstream: str, mock: str, prompt: int, tokens: int) -> None:
    """Measure both, print a line for each figure, and end with 1 if one differs by more than 15 %."""
    try:
        theirs, ours = (asyncio.run(_measure(url, prompt, tokens)) for url in (upstream, mock))
    except MeasuringError as error:
        raise click.ClickException(str(error)) from error
    far = 0
    click.echo("| clients | figure | | llama-server | mock | |\n| --- | --- | --- | --- | --- | --- |")
    for (clients, figure, which), seconds in theirs.items():
        other = ours[clients, figure, which]
        apart = (other - seconds) / seconds
        far += abs(apart) > _TOLERANCE and (figure == "a token" or abs(other - seconds) > _ALIKE_SECONDS)
        click.echo(f"| {clients} | {figure} | {which} | {seconds:.3f} s | {other:.3f} s | {apart:+.0%} |")
    if far:
        raise click.ClickException(f"{far} of {len(theirs)} figures differ by more than {_TOLERANCE:.0%}.")


async def _measure(url: str, prompt: int, tokens: int) -> Figures:
    figures: Figures = {}
    async with timed_client(url) as client:
        await client.answer(prompt, 2)
        for clients in _CLIENTS:
            loads = (_one_after_the_other(client, _ANSWERS[clients], prompt, tokens) for _ in range(clients))
            answers = [answer for load in await asyncio.gather(*loads) for answer in load]
            for figure, seconds_of in _FIGURES.items():
                seconds = [seconds_of(answer) for answer in answers]
                figures[clients, figure, "p50"] = median(seconds)
                figures[clients, figure, "p90"] = quantiles(seconds, n=10)[-1]
    return figures


async def _one_after_the_other(client: TimedClient, count: int, prompt: int, tokens: int) -> Sequence[TimedAnswer]:
    return [await client.answer(prompt, tokens) for _ in range(count)]


if __name__ == "__main__":
    main()
