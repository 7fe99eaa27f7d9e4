"""What registry and team promise, played on PostgreSQL: the tests are those of SQLite, with another database below."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.registry.base import Registry
from gateway.registry.database.database_registry import SqlRegistry
from tests.harness.storage.postgresql import Postgresql
from tests.harness.storage.registries import SqlSource, accepts, in_force, opened
from tests.unit.gateway.registry.test_registry import (
    test_a_bad_source_is_refused_at_start,
    test_a_key_is_found_by_its_digest_and_by_nothing_else,
    test_a_key_that_has_expired_never_works,
    test_a_snapshot_is_never_changed_only_replaced,
    test_an_added_and_a_removed_deployment_count_within_a_second,
    test_an_added_and_an_ended_key_count_within_a_second,
    test_two_registries_of_one_source_say_the_same,
)
from tests.unit.gateway.team.admin_api.test_at_once import (
    test_of_two_admins_one_is_left,
    test_twenty_of_one_name_at_once_are_one,
)
from tests.unit.gateway.team.admin_api.test_events import (
    test_a_change_is_told_with_what_was_before_and_after,
    test_what_was_missed_is_told_to_who_comes_back,
)
from tests.unit.gateway.team.admin_api.test_idempotency import (
    test_a_request_that_failed_may_be_mended_under_its_key,
    test_of_twenty_at_once_one_is_made,
    test_the_same_request_again_is_done_once_and_answered_alike,
)
from tests.unit.gateway.team.admin_api.test_versions import (
    test_an_update_of_what_was_changed_since_is_refused,
    test_of_two_updates_at_once_one_is_lost_and_says_so,
    test_pages_show_each_that_stays_once_while_rows_come_and_go,
)
from tests.unit.gateway.team.attacks.test_sign_in_attacks import (
    test_a_session_ends_by_itself,
    test_an_invitation_works_once_and_for_one_of_two,
    test_guesses_at_once_are_slowed_like_others,
    test_guessing_is_slowed_by_name_and_by_address_and_that_ends,
)
from tests.unit.gateway.team.test_limit_operations import (
    test_a_limit_counts_in_the_gateway_it_was_set_in,
    test_a_limit_is_gone_with_what_it_was_on,
    test_a_limit_is_set_once_and_then_gets_the_new_amount,
)

__all__ = [
    "test_a_bad_source_is_refused_at_start",
    "test_a_change_is_told_with_what_was_before_and_after",
    "test_a_key_is_found_by_its_digest_and_by_nothing_else",
    "test_a_key_that_has_expired_never_works",
    "test_a_limit_counts_in_the_gateway_it_was_set_in",
    "test_a_limit_is_gone_with_what_it_was_on",
    "test_a_limit_is_set_once_and_then_gets_the_new_amount",
    "test_a_request_that_failed_may_be_mended_under_its_key",
    "test_a_session_ends_by_itself",
    "test_a_snapshot_is_never_changed_only_replaced",
    "test_an_added_and_a_removed_deployment_count_within_a_second",
    "test_an_added_and_an_ended_key_count_within_a_second",
    "test_an_invitation_works_once_and_for_one_of_two",
    "test_an_update_of_what_was_changed_since_is_refused",
    "test_guesses_at_once_are_slowed_like_others",
    "test_guessing_is_slowed_by_name_and_by_address_and_that_ends",
    "test_of_twenty_at_once_one_is_made",
    "test_of_two_admins_one_is_left",
    "test_of_two_updates_at_once_one_is_lost_and_says_so",
    "test_pages_show_each_that_stays_once_while_rows_come_and_go",
    "test_the_same_request_again_is_done_once_and_answered_alike",
    "test_twenty_of_one_name_at_once_are_one",
    "test_two_registries_of_one_source_say_the_same",
    "test_what_was_missed_is_told_to_who_comes_back",
]

pytestmark = pytest.mark.slow


class PostgresqlSource(SqlSource):
    """A database of a server."""

    def __init__(self, server: Postgresql, url: str) -> None:
        super().__init__(Path())
        self._server = server
        self.place = url
        self.folder = Path(url.partition("@/")[2].partition("?")[0])  # what its sentences name

    def registry(self) -> Registry:
        return SqlRegistry(self.place)

    async def end_at(self, key_id: str, moment: datetime) -> None:
        at = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
        self._server.query(self.place, f"UPDATE keys SET expires_at = '{at}' WHERE id = '{key_id}'")

    async def spoil(self) -> None:
        self._server.shut(self.place)

    async def mend(self) -> None:
        self._server.open(self.place)


@pytest.fixture
def source(postgresql_server: Postgresql, url: str) -> PostgresqlSource:
    return PostgresqlSource(postgresql_server, url)


async def test_who_is_let_in_stays_so_while_the_server_is_away(source: PostgresqlSource) -> None:
    text = await source.add_key("acme", "laptop")
    async with opened(source.registry()) as registry:
        await in_force(registry, source.spoil(), lambda: registry.problem is not None)
        assert accepts(registry, text)
        await in_force(registry, source.mend(), lambda: registry.problem is None)
        await in_force(registry, source.end_key(text), lambda: not accepts(registry, text))
