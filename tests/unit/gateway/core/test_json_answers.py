"""A model server's JSON that the gateway rewrites: of more values than any server sends, none is looked at."""

from collections.abc import Callable

import pytest

from gateway.core.http.json_answers import one_model, without_paths


@pytest.mark.parametrize("rewrite", [without_paths, lambda body: one_model(body, "tiny")])
def test_an_answer_of_very_many_values_is_refused(rewrite: Callable[[bytes], bytes]) -> None:
    most = b'{"data": [{"id": "tiny"}' + b", 0" * 40_000 + b"]}"
    assert rewrite(most)
    with pytest.raises(ValueError, match="too many"):
        rewrite(most.replace(b", 0", b", 0, 0"))
