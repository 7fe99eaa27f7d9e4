"""Whether the ledger is right: what it says of mixed requests, beside what the model server has counted itself.

    python -m scripts.reconcile --requests 10000
    python -m scripts.reconcile --server build/bin/llama-server --model tiny.gguf

First requests that all finish, of which every token has to be there; then streams whose clients leave, of which the
difference is shown. The mock is asked where no llama-server is named.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random

import click

from scripts.reconciling.mixed_requests import Ask, finishing, leaving
from scripts.reconciling.site import Ledger, Site, Tokens, model_server, open_site

STREAMED = ("/v1/chat/completions", "/v1/messages", "/v1/completions", "/v1/responses", "/completion")
OTHERS = ("/v1/embeddings", "/v1/rerank", "/tokenize")
MOCK = (sys.executable, "-m", "mockserver", "--metrics", "--embeddings", "--tps", "0", "--parallel", "8")
_AT_A_TIME = 8


class Difference(Exception):
    """The ledger and the model server do not agree; what each of them says."""


async def reconcile(
    server: tuple[str, ...], requests: int, cut: int, paths: tuple[str, ...] = STREAMED + OTHERS, seed: int = 1
) -> tuple[Ledger, Tokens, Tokens]:
    """Ask, and compare. Returns the ledger of those that were cut, and what the server and the ledger say of them.

    Raises Difference if a token is missing of those that finished, or one too many is there.
    """
    random = Random(seed)  # noqa: S311  no secrets
    with tempfile.TemporaryDirectory(prefix="gguf-reconcile-") as name, model_server(server, Path(name)) as upstream:
        async with open_site(Path(name), upstream) as site:
            statuses = await _all(site, finishing(requests, random, paths))
            served, kept = await site.served(), await site.kept(requests)
            if kept.requests != requests or not agree(kept, served):
                raise Difference(f"of {requests} that finished: the server {served}, the ledger {kept}, {statuses}")
            both = f"both say; {statuses}"
            if kept.counted:
                both = f"the ledger {kept.tokens}, of which {kept.counted} were not stated but counted; {statuses}"
            click.echo(f"{requests} finished: {served}, {both}")
            await _all(site, leaving(cut, random, STREAMED))
            last, now = await site.served(), await site.kept(requests + cut)
            whole = Ledger(now.requests - kept.requests, now.tokens - kept.tokens, now.counted)
            return whole, last - served, whole.tokens


def agree(kept: Ledger, served: Tokens) -> bool:
    """Whether the ledger has what the server has counted, to the token, of all that it has stated.

    A llama-server states no prompt on `/v1/messages` where an answer begins with an emoji. Those are counted, and none
    of them as cached: by no more may the prompts differ.
    """
    missing = served - kept.tokens
    off = abs(missing.read + missing.cached)
    return missing.written == 0 and max(off, abs(missing.read), abs(missing.cached)) <= kept.counted


async def _all(site: Site, asked: Iterable[Ask]) -> dict[int, int]:
    """How many were answered with which status."""
    statuses: dict[int, int] = {}
    waiting = iter(asked)

    async def one_after_another() -> None:
        for ask in waiting:
            status = await site.ask(ask)
            statuses[status] = statuses.get(status, 0) + 1

    await asyncio.gather(*(one_after_another() for _ in range(_AT_A_TIME)))
    return statuses


@click.command()
@click.option("--requests", default=1000, show_default=True, help="How many that finish.")
@click.option("--cut", default=50, show_default=True, help="How many streams whose clients leave.")
@click.option("--server", help="A llama-server; the mock if it is left out.")
@click.option("--model", help="Its model, a file.")
@click.option("--embeddings", is_flag=True, help="It serves embeddings, and nothing else.")
def main(requests: int, cut: int, server: str | None, model: str | None, embeddings: bool) -> None:
    """Compare the ledger with a model server's own counters."""
    command: tuple[str, ...] = MOCK
    paths: tuple[str, ...] = STREAMED + OTHERS
    if server is not None and model is not None:
        command = (server, "-m", model, "-t", "1", "-np", "4", "-c", "8192", "--metrics", "--no-webui")
        paths = OTHERS if embeddings else (*STREAMED, "/tokenize")
        command += ("--embeddings", "--pooling", "mean") if embeddings else ()
    try:
        kept, served, counted = asyncio.run(reconcile(command, requests, cut, paths))
    except Difference as error:
        raise click.ClickException(str(error)) from None
    if cut:
        share = counted.written / max(served.written, 1)
        click.echo(f"{kept.requests} cut: the server {served}, the ledger {counted}: {share:.1%} of what was written")


if __name__ == "__main__":
    main()
