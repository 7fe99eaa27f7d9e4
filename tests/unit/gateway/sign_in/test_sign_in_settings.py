"""`server.sign_in`: what is refused, in which words, and how long sessions last."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from gateway.config.settings import parse
from gateway.registry.database.team_tables import sessions
from gateway.team.models.people import PersonQuery
from gateway.team.signing_in.sign_in import make_sign_in_link
from tests.harness.pages.scripted_provider import browsing
from tests.harness.pages.team_pages import team_serving
from tests.unit.gateway.config.settings_texts import CANARY, GOOD, errors_of

OIDC = "issuer: https://id.example.org, client_id: gateway"


def with_oidc(fields: str) -> str:
    return f"database: gateway.db\nserver:\n  sign_in:\n    oidc: {{{OIDC}{fields}}}\n"


WRONG = {
    "an unknown role": (", domains: {example.org: {role: owner}}", "domains.example.org.role: must be one of"),
    "an account that cannot be": (", groups: {ops: {accounts: [a b]}}", "groups.ops.accounts[0]: "),
    "a domain that is none": (", domains: {'@example.org': {}}", "a domain is what stands behind the @"),
    "a word too much": (", groups: {ops: {rolle: admin}}", "groups.ops.rolle: unknown setting; did you mean `role`?"),
    "scopes without openid": (", scopes: [email]", "scopes: must be a list of scopes, and `openid` one of them"),
    "a doubled issuer": (", issuer: http://x", "issuer: is defined twice"),
    "an empty secret": (", client_secret: ''", "client_secret: must not be empty"),
    "no file of an authority": (", ca_file: none.pem", "ca_file: cannot be read: No such file or directory"),
    "a file that is none of one": (f", ca_file: '{__file__}'", "ca_file: is not a PEM certificate file"),
    "a variable that is not set": (", client_secret: '${NO}'", "the environment variable NO is not set"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_with_its_line(fields: str, said: str) -> None:
    (line,) = errors_of(with_oidc(fields))
    assert line.startswith("gw.yaml:4: server.sign_in.oidc")
    assert said in line


@pytest.mark.parametrize("issuer", ["http://id.example.org", "id.example.org", "https://u:p@id.example.org", "ftp://x"])
def test_an_issuer_is_reached_by_tls(issuer: str) -> None:
    (line,) = errors_of(with_oidc("").replace("https://id.example.org", f"'{issuer}'"))
    assert (
        line
        == "gw.yaml:4: server.sign_in.oidc.issuer: must be an https URL like https://id.example.org, with no user in it"
    )


def test_a_provider_on_this_machine_needs_no_tls() -> None:
    text = with_oidc("").replace("https://id.example.org", "'http://127.0.0.1:8081/realms/x'")
    assert parse(text, "gw.yaml", {}).server.sign_in.oidc is not None


def test_people_need_a_database() -> None:
    (line,) = errors_of(f"server:\n  sign_in: {{oidc: {{{OIDC}}}}}\n" + GOOD)
    assert line == "gw.yaml:2: server.sign_in.oidc: needs `database`: people are kept there"


def test_somebody_must_be_able_to_sign_in() -> None:
    (line,) = errors_of("database: gateway.db\nserver:\n  sign_in:\n    password: false\n")
    assert line == "gw.yaml:4: server.sign_in.password: is false, and there is no `oidc`: nobody could sign in"


def test_the_secret_is_not_shown_with_the_settings() -> None:
    settings = parse(with_oidc(f", client_secret: {CANARY}"), "gw.yaml", {})
    assert CANARY not in repr(settings)


def test_a_placeholder_is_refused_beyond_this_machine() -> None:
    text = with_oidc(", client_secret: CHANGE_ME").replace("server:\n", "server:\n  host: 0.0.0.0\n")
    (line,) = errors_of(text)
    assert line.startswith("gw.yaml:5: server.sign_in.oidc.client_secret: is a placeholder")


async def test_a_session_lasts_as_long_as_the_settings_say(tmp_path: Path) -> None:
    async with team_serving(tmp_path, sign_in={"sessions": {"idle": 60, "longest": 120}}) as team, browsing() as client:
        await team.person("ada")
        (ada,) = (await team.do("people.list", asked=PersonQuery())).items
        async with team.database.begin() as connection:
            await connection.execute(delete(sessions))
        link = await make_sign_in_link(team.database, ada.id)
        async with client.get(team.url + link, allow_redirects=False) as done:
            assert done.status == 303
        async with team.database.connect() as connection:
            row = (await connection.execute(select(sessions))).one()
        assert (row.expires_at - row.created_at) == timedelta(seconds=120)
        seen = []
        for idle in (50, 70):
            async with team.database.begin() as connection:
                long_ago = datetime.now(UTC) - timedelta(seconds=idle)
                await connection.execute(update(sessions).values(seen_at=long_ago))
            for path in ("/keys", "/api/admin/v1/keys"):
                async with client.get(team.url + path, allow_redirects=False) as page:
                    seen.append(page.status)
        assert seen == [200, 200, 303, 401]
