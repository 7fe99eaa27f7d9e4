"""The snippets of docs/guide/mock.md."""

import http.client
import json
import re
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mockserver import MockLlamaServer
from mockserver.sandbox import Sandbox


def test_a_client_that_leaves_is_noticed() -> None:
    with MockLlamaServer(tokens_per_second=20, endless=True) as mock:
        address = mock.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("POST", "/v1/completions", '{"prompt": "Once", "stream": true}')
        connection.getresponse().read1()
        connection.close()
        (exchange,) = mock.wait_for_requests(1, ended="aborted")
        assert exchange.how.startswith("client left after")


@pytest.mark.slow
def test_a_sandbox_of_ones_own() -> None:
    with Sandbox({"fast": MockLlamaServer(), "slow": MockLlamaServer(tokens_per_second=5)}) as sandbox:
        sandbox["slow"].pause()
        request = Request(f"{sandbox['slow'].base_url}/v1/models", headers={"x-api-key": sandbox.key})
        with pytest.raises(HTTPError, match="503") as caught:
            urlopen(request, timeout=5)
        caught.value.close()


def test_the_presets_are_understood(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs/guide/mock.md"
    written = re.search(r"```ini\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert written is not None
    (tmp_path / "models.ini").write_text(written[1], encoding="utf-8")
    with (
        MockLlamaServer(router=True, models_preset=str(tmp_path / "models.ini"), load_seconds=0) as mock,
        urlopen(f"{mock.url}/props?model=tiny", timeout=5) as answer,
    ):
        props = json.load(answer)
        assert props["model_alias"] == "small"
        assert props["total_slots"] == 2
        assert props["default_generation_settings"]["n_ctx"] == 512
