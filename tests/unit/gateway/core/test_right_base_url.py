"""Whoever follows the advice about a base URL arrives at an endpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.endpoints import ENDPOINTS, NEVER, endpoint_at
from gateway.core.http.base_urls import beyond_base_urls, right_base_url

WRITTEN = [path for path in ENDPOINTS if "{" not in path]
# What a client adds to its base URL, and what that base URL should end in.
PARTS = [(path, "") for path in WRITTEN] + [(path[3:], "/v1") for path in WRITTEN if path.startswith("/v1")]


@pytest.mark.parametrize(("part", "right"), PARTS)
def test_a_base_url_one_slip_off_is_put_right(part: str, right: str) -> None:
    wrong = {f"{right}/", f"{right}//", "" if right else "/v1", f"{right}{part}", f"{right}{part}/"}
    for base in wrong:
        asked = base + part
        if endpoint_at(asked) is None:  # else it is another endpoint's, and answered as that
            assert right_base_url(asked, "demo").endswith(f" in /api/gguf/demo{right}"), asked


def test_what_is_never_served_gets_no_advice_that_leads_there() -> None:
    paths = {route.split()[1] for route in NEVER} - {"/"}
    for path in paths - set(ENDPOINTS):
        assert not right_base_url(path, "demo") or endpoint_at(f"/v1{path}"), path


@given(st.text(alphabet="/v1modelschatcp{}%.", max_size=60))
def test_any_path_gets_one_line_or_none(path: str) -> None:
    for said in (right_base_url(f"/{path}", "demo"), beyond_base_urls(f"/{path}")):
        assert not said or (said.startswith(" ") and "\n" not in said)
