"""The snippets of docs/guide/mock-faults.md."""

from collections.abc import Iterator
from http.client import IncompleteRead
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import openai
import pytest

from mockserver import BackgroundMock, MockLlamaServer


@pytest.fixture
def mock() -> Iterator[BackgroundMock]:
    with MockLlamaServer() as mock:
        yield mock


@pytest.mark.slow
def test_the_client_asks_again_until_it_is_answered() -> None:
    with MockLlamaServer() as mock, openai.OpenAI(base_url=f"{mock.url}/v1", api_key="none", max_retries=2) as client:
        mock.faults.add("503", times=2, headers={"Retry-After-Ms": "10"})
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello"}])
        assert [exchange.status for exchange in mock.requests] == [503, 503, 200]


@pytest.mark.parametrize("test", ["one", "another"])
def test_a_header_breaks_the_requests_of_one_test_only(mock: BackgroundMock, test: str) -> None:
    request = Request(f"{mock.url}/v1/models", headers={"X-Mock-Fault": f"429 times=1 label={test}"})
    with pytest.raises(HTTPError, match="429") as caught:
        urlopen(request, timeout=5)
    caught.value.close()
    with urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def test_a_stream_that_breaks_off_is_not_taken_for_a_whole_one(mock: BackgroundMock) -> None:
    mock.faults.add("cut after_events=3", times=1)
    body = b'{"stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
    with urlopen(f"{mock.url}/v1/chat/completions", body, timeout=5) as answer, pytest.raises(IncompleteRead):
        answer.read()
    assert [(exchange.fault, exchange.ended) for exchange in mock.requests] == [("cut", "cut")]
