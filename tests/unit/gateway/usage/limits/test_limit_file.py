"""Where the file of limits is: beside a database, whose folder is not ours to make, or in one for state, which is."""

import logging
from datetime import UTC
from pathlib import Path

import pytest

from gateway.core.rate_limits import Measure, RateLimit, SubjectKind
from gateway.registry.base import Snapshot
from gateway.usage.limits.rate_limiter import RateLimiter
from tests.harness.pages.status_pages import ToldRegistry

LIMIT = RateLimit("lim_1", SubjectKind.KEY, "key_1", Measure.REQUESTS_PER_MINUTE, 5)


def count(place: Path | None) -> None:
    """As a gateway whose database is at a path, if it has one."""
    registry = ToldRegistry()
    registry.place = place
    registry.replace(Snapshot.of([], [], limits=[LIMIT]))
    limiter = RateLimiter(registry, UTC)
    limiter.open()
    assert [one.left for one in limiter.standings([LIMIT])] == [5]
    limiter.close()


def test_the_folder_of_a_database_that_is_gone_is_not_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it could not be moved back to its place."""
    with caplog.at_level(logging.WARNING):
        count(tmp_path / "data" / "gateway.db")
    assert list(tmp_path.iterdir()) == []
    assert "limits are counted by each process alone" in caplog.text


def test_a_folder_for_state_is_made_for_a_gateway_without_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    count(None)
    [file] = (tmp_path / "state").iterdir()
    assert file.name.endswith("-limits")
