"""The ledger's sums beside a model server's own counters, to the token."""

import asyncio

import pytest

from scripts.reconcile import MOCK, Difference, agree, reconcile
from scripts.reconciling.site import Ledger, Site, Tokens


@pytest.mark.slow
def test_the_ledger_agrees_with_the_mock_to_the_token() -> None:
    kept, served, counted = asyncio.run(reconcile(MOCK, 60, 5))
    assert kept.requests == 5
    assert 0 < counted.written <= min(served.written, kept.counted)


@pytest.mark.tools
@pytest.mark.timeout(900)
def test_ten_thousand_mixed_requests_are_accounted_to_the_token() -> None:
    kept, _, _ = asyncio.run(reconcile(MOCK, 10_000, 100, seed=2))
    assert kept.requests == 100


@pytest.mark.parametrize(
    ("tokens", "counted", "is_right"),
    [
        (Tokens(100, 50, 30), 0, True),
        (Tokens(99, 51, 30), 0, False),
        (Tokens(118, 31, 30), 20, True),
        (Tokens(118, 31, 29), 20, False),
        (Tokens(121, 31, 30), 20, False),
    ],
)
def test_prompts_that_no_server_states_are_all_that_may_differ(tokens: Tokens, counted: int, is_right: bool) -> None:
    assert agree(Ledger(3, tokens, counted), Tokens(100, 50, 30)) is is_right


@pytest.mark.tools
def test_a_token_too_many_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_too_many(_site: Site) -> Tokens:
        return Tokens(0, 0, 1)

    monkeypatch.setattr(Site, "served", one_too_many)
    with pytest.raises(Difference, match=r"of 2 that finished: the server Tokens\(read=0, cached=0, written=1\)"):
        asyncio.run(reconcile(MOCK, 2, 0, ("/tokenize",)))
