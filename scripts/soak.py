"""`make soak`: 200,000 mixed requests against one gateway, and what is left when they are over.

70 % good, 10 % without a right to an answer, 10 % that leave at random moments, 5 % met by a fault of the model
server, 5 % slow. Keys are made and revoked, a deployment is paused and resumed, and hang-ups are sent all the while.
Exit status 1 and one sentence for each demand that is not met.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import click
from rich.console import Console
from rich.markup import escape

from scripts.benchmark.process import StartError
from scripts.command.own_process import end_in_order_at_sigterm, open_as_many_files_as_may_be, run_on_uvloop
from scripts.command.progress import with_elapsed_time
from scripts.soaking import demands
from scripts.soaking.cases import Site, Wrong, run_any
from scripts.soaking.churn import Churn
from scripts.soaking.scene import Scene, scene

_CLIENTS = 48  # at a time
_SAMPLE_SECONDS = 0.5
_MOST_TOLD = 20  # of what clients saw


@dataclass
class Run:
    """One soak: how far it is, and what went wrong."""

    requests: int
    seconds: float  # after which it ends, done or not
    done: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    samples: list[demands.Sample] = field(default_factory=list)

    async def drive(self, site: Site, one: Scene, churn: Churn, say: Callable[[str], None]) -> None:
        """All requests, with everything else that goes on beside them."""
        changing = asyncio.create_task(churn.run())
        sampling = asyncio.create_task(self._sample(one, say))
        deadline = time.monotonic() + self.seconds
        await asyncio.gather(*(self._clients(site, deadline) for _ in range(_CLIENTS)))
        churn.over.set()
        await changing
        sampling.cancel()
        self.samples.append((self.done, one.gateway.memory()))
        for client in site.idle:
            if await client.close():
                self.wrong.append("bytes that nobody asked for came over an idle connection")

    async def _clients(self, site: Site, deadline: float) -> None:
        """Be one client after the other."""
        while self.done < self.requests and time.monotonic() < deadline:
            self.done += 1
            try:
                self.cases[(await run_any(site)).__name__] += 1
            except Wrong as error:
                self.wrong.append(str(error))

    async def _sample(self, one: Scene, say: Callable[[str], None]) -> None:
        told = time.monotonic()
        while True:
            self.samples.append((self.done, one.gateway.memory()))
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                memory = self.samples[-1][1] / demands.MIB
                say(f"{self.done:,} of {self.requests:,}, {memory:.1f} MiB, {len(self.wrong)} wrong")
            await asyncio.sleep(_SAMPLE_SECONDS)


def soak(requests: int, seconds: float, seed: int, say: Callable[[str], None]) -> list[str]:
    """Run it; a sentence for each demand that is not met. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="gguf-soak-") as folder, scene(Path(folder)) as one:
        list(demands.of_what_is_held(one.gateway, one.port, sys.maxsize, one.upstream))  # loads what /metrics needs
        descriptors = one.gateway.descriptors()
        site = Site(one.port, one.key, Random(seed))  # noqa: S311 (nothing secret)
        churn = Churn(site, one.gateway, one.database, pause=min(1.0, requests / 20_000))
        run, begun = Run(requests, seconds), time.monotonic()
        run_on_uvloop(run.drive(site, one, churn, say))
        took = time.monotonic() - begun
        say(f"{run.done:,} requests in {took:.0f} s; {churn.changes} changes, {churn.hang_ups} hang-ups")
        _tell(run, say)
        failed = [*_seen(run), *(f"A change took no effect: {wrong}." for wrong in churn.wrong)]
        failed += demands.of_memory(run.samples)
        failed += demands.of_the_model_servers(one.upstream)
        failed += demands.of_what_is_held(one.gateway, one.port, descriptors, one.upstream)
        status = one.gateway.stop()
        if status != 0:
            failed.append(f"The gateway ended with status {status}.")
        return [*failed, *demands.of_the_log(one.gateway.said, site.answered)]


def _seen(run: Run) -> Iterator[str]:
    """What clients saw that they must not."""
    yield from (f"A client saw what it must not: {wrong}" for wrong in run.wrong[:_MOST_TOLD])
    if len(run.wrong) > _MOST_TOLD:
        yield f"So did {len(run.wrong) - _MOST_TOLD} more."
    if run.done < run.requests:
        yield f"Only {run.done:,} of {run.requests:,} requests were made within {run.seconds:g} s."


def _tell(run: Run, say: Callable[[str], None]) -> None:
    say(", ".join(f"{name} {number:,}" for name, number in run.cases.most_common()))
    first, last = run.samples[0][1] / demands.MIB, run.samples[-1][1] / demands.MIB
    grown = f", {demands.slope(run.samples):+.2f} MiB for 20,000 requests" if run.done >= 20_000 else ""
    say(f"memory: {first:.1f} MiB at first, {last:.1f} MiB in the end{grown}")


@click.command()
@click.option("--requests", type=click.IntRange(100), default=200_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(5), default=900.0, show_default=True, help="Give up after so many.")
@click.option("--seed", type=int, help="Repeat a run's choices; chosen, and told, if left out.")
def main(requests: int, seconds: float, seed: int | None) -> None:
    """Soak a gateway, and look at what is left."""
    open_as_many_files_as_may_be()
    end_in_order_at_sigterm()
    console = Console(soft_wrap=True, highlight=False)
    seed = time.time_ns() % 10**6 if seed is None else seed
    console.print(f"seed {seed}")

    try:
        failed = soak(requests, seconds, seed, with_elapsed_time(console))
    except StartError as error:
        raise click.ClickException(str(error)) from error
    for sentence in failed:
        console.print("[red]failed[/] ", escape(sentence))
    if failed:
        sys.exit(1)
    console.print("[green]Every client got exactly one well-formed outcome, and nothing is left behind.[/]")


if __name__ == "__main__":
    main()
