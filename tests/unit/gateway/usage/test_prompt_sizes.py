"""The prompt of a request that broke off, by its bytes and by what others of its endpoint have told."""

from gateway.core.answer.usage import Usage
from gateway.core.exchange import Exchange
from gateway.usage.ledger.prompt_sizes import PromptSizes


def exchange(bytes_in: int, usage: Usage | None, endpoint: str = "/v1/chat/completions") -> Exchange:
    made = Exchange("x")
    made.deployment, made.endpoint = "chat", endpoint
    made.bytes_in, made.usage = bytes_in, usage
    return made


def guessed(sizes: PromptSizes, one: Exchange) -> Usage | None:
    sizes.add_to(one)
    return one.usage


def test_a_prompt_is_as_long_as_others_of_its_size() -> None:
    sizes = PromptSizes()
    sizes.learn([exchange(300, Usage(60, 9)), exchange(100, Usage(20, 9)), exchange(50, None)])
    assert guessed(sizes, exchange(200, Usage(0, 7, counted=7))) == Usage(40, 7, counted=47)


def test_nothing_is_guessed_where_nothing_is_known() -> None:
    sizes = PromptSizes()
    sizes.learn([exchange(300, Usage(60, 9), "/v1/messages")])
    assert guessed(sizes, exchange(200, Usage(0, 7, counted=7))) == Usage(0, 7, counted=7)


def test_what_was_stated_stays() -> None:
    sizes = PromptSizes()
    sizes.learn([exchange(300, Usage(60, 9))])
    for usage in (None, Usage(0, 0), Usage(5, 7, 2, counted=7)):
        assert guessed(sizes, exchange(200, usage)) == usage


def test_who_states_no_prompt_is_given_one_and_teaches_nothing() -> None:
    sizes = PromptSizes()
    sizes.learn([exchange(300, Usage(60, 9)), exchange(900, Usage(0, 9))])
    assert guessed(sizes, exchange(200, Usage(0, 7))) == Usage(40, 7, counted=40)


def test_what_was_counted_teaches_nothing() -> None:
    sizes = PromptSizes()
    sizes.learn([exchange(300, Usage(60, 9, counted=69))])
    assert guessed(sizes, exchange(200, Usage(0, 7, counted=7))) == Usage(0, 7, counted=7)


def test_what_is_long_ago_counts_less() -> None:
    sizes = PromptSizes()
    for tokens in (100_000, 500_000, 500_000, 500_000, 500_000, 500_000):
        sizes.learn([exchange(1_000_000, Usage(tokens, 1))])
    found = guessed(sizes, exchange(1_000, Usage(0, 7, counted=7)))
    assert found is not None
    assert 480 <= found.tokens_in <= 500
