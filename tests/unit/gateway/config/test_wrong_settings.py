"""The text of a configuration file: what is refused, in which words, at which line, and that no secret is quoted."""

import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import MAX_CHARS, SourceError
from gateway.config.settings import parse
from tests.unit.gateway.config.settings_texts import CANARY, GOOD, errors_of


def errors_or_none(text: str) -> tuple[str, ...] | None:
    try:
        parse(text, "gw.yaml", {})
    except SourceError as error:
        return error.lines
    return None


def in_acme(keys: str) -> str:
    return f"accounts:\n  acme:\n    keys:\n      - {keys}\n"


def demo(fields: str) -> str:
    return GOOD + f"  two: {{{fields}}}\n"


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
NOT_YAML = {
    "nothing": ("", ":1: the file is empty"),
    "a comment": ("# nothing\n", ":1: the file is empty"),
    "a list": ("- 1\n", ":1: the file must be a mapping"),
    "a word": ("hello", ":1: the file must be a mapping"),
    "a tab": ("server:\n\tport: 1\n", ":2: not valid YAML: .*tab"),
    "an open bracket": ("accounts: {acme: [", ":1: not valid YAML"),
    "an open quote": ("accounts: 'acme", ":1: not valid YAML"),
    "two colons": ("server: port: 1", ":1: not valid YAML: mapping values are not allowed"),
    "a control character": ("server:\n  host: \x01", ":2: this character is not allowed in YAML"),
    "two documents": (GOOD + "---\n" + GOOD, ":7: a second document"),
    "an object": ("server: !!python/object/apply:os.system ['true']", ":1: server: YAML tags are not allowed"),
    "a tagged text": ("server: {host: !secret x}\n" + GOOD, ":1: server.host: YAML tags are not allowed"),
    "a tag handle": ("server: !a!b x\n", ":1: not valid YAML"),
    "an unknown alias": ("server: *nothing\n", r":1: undefined alias"),
    "an alias of itself": ("server: &a [*a]\n", r":1: undefined alias"),
    "an alias bomb": (BOMB, r":1: aliases expand to too many"),
    "brackets": ("[" * 100_000, ":1: values are nested more than 32 deep"),
    "dashes": ("- " * 100_000, ":1: values are nested more than 32 deep"),
    "too much": ("#" * (MAX_CHARS + 1), ":1: the file is longer than"),
    "half a character": ("server: \ud800", ":1: the file is not UTF-8"),
    "a merge key": (GOOD + "  x:\n    <<: {account: acme}\n", ":8: deployments.x: merge keys"),
    "a number as a name": ("accounts: {1: {}}", ":1: accounts: a name here is read as something other than text"),
    "a list as a name": ("? [a]\n: 1\n", ":1: a name here is read as"),
    "a long number": ("server: {port: " + "9" * 5000 + "}\n" + GOOD, ":1: server.port: is not a valid number"),
}


@pytest.mark.parametrize(("text", "said"), NOT_YAML.values(), ids=NOT_YAML.keys())
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, said: str) -> None:
    assert re.search("^gw.yaml" + said, "\n".join(errors_of(text)), re.MULTILINE)


def test_every_merge_key_is_named_and_nothing_that_follows_from_it() -> None:
    merged = GOOD.replace("demo: {", "demo: &d {") + "  x:\n    <<: *d\n  y: {<<: [*d], account: acme}\n"
    assert errors_of(merged) == (
        "gw.yaml:8: deployments.x: merge keys (`<<`) are not supported; write the settings out",
        "gw.yaml:9: deployments.y: merge keys (`<<`) are not supported; write the settings out",
    )


WRONG = {
    "unknown field": ("server: {prot: 1}\n" + GOOD, "1: server.prot: unknown setting; did you mean `port`?"),
    "unknown section": (GOOD + "key: x\n", "7: key: unknown setting; valid settings: server, database, accounts"),
    "doubled field": ("server: {port: 1}\nserver: {port: 2}\n" + GOOD, "2: server: is defined twice"),
    "empty section": ("server:\n" + GOOD, "1: server: is empty"),
    "a list for a mapping": ("server: []\n" + GOOD, "1: server: must be a mapping"),
    "a text for a number": ("server: {port: x}\n" + GOOD, "1: server.port: must be a whole number"),
    "yes for a number": ("server: {port: yes}\n" + GOOD, "1: server.port: must be a number"),
    "a fraction": ("server: {port: 1.5}\n" + GOOD, "1: server.port: must be a whole number"),
    "a number for a text": ("server: {host: 5}\n" + GOOD, "1: server.host: must be text; put it in quotes"),
    "too high": ("server: {port: 65536}\n" + GOOD, "1: server.port: must be at most 65535"),
    "too low": ("server: {limits: {body_bytes: 0}}\n" + GOOD, "1: server.limits.body_bytes: must be at least 1"),
    "no time at all": ("server: {timeouts: {connect: 0}}\n" + GOOD, "1: server.timeouts.connect: must be more than 0"),
    "nan": ("server: {timeouts: {drain: .nan}}\n" + GOOD, "1: server.timeouts.drain: must be"),
    "infinity": ("server: {timeouts: {silence: .inf}}\n" + GOOD, "1: server.timeouts.silence: must be"),
    "no choice": ("server: {log: {format: xml}}\n" + GOOD, "1: server.log.format: must be one of 'auto', 'human' or"),
    "a spaced host": ("server: {host: 'a b'}\n" + GOOD, "1: server.host: a host is a name or an address"),
    "a zone of no name": ("server: {time_zone: Berlin}\n" + GOOD, "1: server.time_zone: is not the name of a time"),
    "a folder of zones": ("server: {time_zone: Europe}\n" + GOOD, "1: server.time_zone: is not the name of a time"),
    "no zone's name": ("server: {time_zone: ../x}\n" + GOOD, "1: server.time_zone: is not the name of a time"),
    "nothing to serve": ("server: {}\n", "1: neither `database` nor `accounts`"),
    "two sources": ("database: x.db\n" + GOOD, "2: accounts: cannot be used with `database`"),
    "an empty database": ("database: ''\n", "1: database: must be a database URL"),
    "a null database": ("database:\n", "1: database: is empty"),
    "a NUL in the database": ('database: "a\\0b"\n', "1: database: must be a database URL"),
    "an unnamed key": (in_acme("{key: gw_12345678}"), "4: accounts.acme.keys[0].name: is required"),
    "an empty name": (in_acme("{name: '', key: gw_12345678}"), "4: accounts.acme.keys[0].name: a name is 1 to 64"),
    "a null key": (in_acme("{name: a, key: null}"), "4: accounts.acme.keys[0]: needs exactly one of"),
    "no key": (in_acme("{name: a}"), "4: accounts.acme.keys[0]: needs exactly one of `key` and `key_sha256`"),
    "key and hash": (
        in_acme(f"{{name: a, key: gw_12345678, key_sha256: {'ab' * 32}}}"),
        "4: accounts.acme.keys[0]: needs exactly one of",
    ),
    "a limit on no deployment": (
        in_acme("{name: a, key: gw_12345678, limits: {deployments: {dem: {tokens_per_day: 1}}}}"),
        "4: accounts.acme.keys[0].limits.deployments.dem: is not a deployment of the account acme",
    ),
    "a limit of nothing": (
        in_acme("{name: a, key: gw_12345678, limits: {tokens_per_day: 0}}"),
        "4: accounts.acme.keys[0].limits.tokens_per_day: must be at least 1",
    ),
    "an empty key": (in_acme("{name: a, key: ''}"), "4: accounts.acme.keys[0].key: a key is at least 8"),
    "a short key": (in_acme("{name: a, key: gw_1234}"), "4: accounts.acme.keys[0].key: a key is at least 8"),
    "a spaced key": (in_acme("{name: a, key: 'gw_1234 5678'}"), "4: accounts.acme.keys[0].key: a key is at least 8"),
    "a key in Cyrillic": (in_acme("{name: a, key: ключключ}"), "4: accounts.acme.keys[0].key: a key is at least 8"),
    "a numeric key": (in_acme("{name: a, key: 1234567890}"), "4: accounts.acme.keys[0].key: must be text"),
    "half a hash": (in_acme("{name: a, key_sha256: abcd}"), "4: accounts.acme.keys[0].key_sha256: is not a SHA-256"),
    "no hex": (
        in_acme(f"{{name: a, key_sha256: {'z' * 64}}}"),
        "4: accounts.acme.keys[0].key_sha256: is not a SHA-256",
    ),
    "no zone": (
        in_acme("{name: a, key: gw_12345678, expires_at: 2027-01-01T00:00:00}"),
        "4: accounts.acme.keys[0].expires_at: must be a date and time with its time zone",
    ),
    "a bare year": (
        in_acme("{name: a, key: gw_12345678, expires_at: 2027}"),
        "4: accounts.acme.keys[0].expires_at: must be a date and time with its time zone",
    ),
    "the end of time": (
        in_acme("{name: a, key: gw_12345678, expires_at: '9999-12-31T23:59:59-14:00'}"),
        "4: accounts.acme.keys[0].expires_at: must be a date and time with its time zone",
    ),
    "a key twice": (
        in_acme("{name: a, key: gw_12345678}") + "      - {name: b, key: gw_12345678}\n",
        "5: accounts.acme.keys[1].key: is the same key as the one on line 4",
    ),
    "a key of two accounts": (
        GOOD.replace("deployments", "  beta: {keys: [{name: b, key: gw_plain_text_for_sandboxes}]}\ndeployments"),
        "5: accounts.beta.keys[0].key: is the same key as the one on line 4",
    ),
    "keys that are no list": ("accounts: {acme: {keys: {}}}", "1: accounts.acme.keys: must be a list"),
    "an odd account": ("accounts: {'a/b': {}}", "1: accounts.?: use 1 to 64 letters"),
    "an odd deployment": (
        GOOD + "  -x: {account: acme, upstream: 'http://h'}",
        "7: deployments.?: use 1 to 64 letters",
    ),
    "someone's deployment": (
        demo("account: beta, upstream: 'http://h'"),
        "7: deployments.two.account: is not an account in this file",
    ),
    "no account": (demo("upstream: 'http://h'"), "7: deployments.two.account: is required"),
    "no upstream": (demo("account: acme"), "7: deployments.two.upstream: is required"),
    "a file": (
        demo("account: acme, upstream: 'file:///etc/passwd'"),
        "7: deployments.two.upstream: an upstream begins",
    ),
    "a password": (
        demo("account: acme, upstream: 'http://u:p@h'"),
        "7: deployments.two.upstream: an upstream carries no",
    ),
    "a path": (
        demo("account: acme, upstream: 'http://h/v1'"),
        "7: deployments.two.upstream: an upstream is a host and",
    ),
    "port 0": (demo("account: acme, upstream: 'http://h:0'"), "7: deployments.two.upstream: port 0"),
    "a status": (demo("account: acme, upstream: 'http://h', status: up"), "7: deployments.two.status: must be one of"),
    "a timeout": (
        demo("account: acme, upstream: 'http://h', timeouts: {connect: -1}"),
        "7: deployments.two.timeouts.connect: must be more than 0",
    ),
    "a variable": (
        demo("account: acme, upstream: 'http://h', upstream_key: '${NOT_SET}'"),
        "7: deployments.two.upstream_key: the environment variable NOT_SET is not set",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_with_its_line_and_what_is_wrong_with_it(text: str, said: str) -> None:
    assert any(line.startswith(f"gw.yaml:{said}") for line in errors_of(text)), errors_of(text)


def test_all_errors_are_said_at_once_from_top_to_bottom() -> None:
    lines = errors_of(
        "server: {port: x, prot: 1}\naccounts:\n  acme: {keys: [{name: 5, key: short}]}\n"
        "deployments:\n  demo: {account: beta, upstream: 'ftp://h', upstream_key: '${NOT_SET}'}\n"
    )
    places = [tuple(line.split(": ")[:2]) for line in lines]
    assert [line for line, _ in places] == sorted(line for line, _ in places)
    assert sorted(places) == [
        ("gw.yaml:1", "server.port"),
        ("gw.yaml:1", "server.prot"),
        ("gw.yaml:3", "accounts.acme.keys[0].key"),
        ("gw.yaml:3", "accounts.acme.keys[0].name"),
        ("gw.yaml:5", "deployments.demo.account"),
        ("gw.yaml:5", "deployments.demo.upstream"),
        ("gw.yaml:5", "deployments.demo.upstream_key"),
    ]


SECRETS = [
    in_acme(f"{{name: a, key: '{CANARY} '}}"),
    in_acme(f"{{name: a, key:{CANARY}}}"),
    in_acme(f"{{name: a, key_sha256: {CANARY}}}"),
    in_acme(f"{{name: a, key_sha256:{CANARY}}}"),
    in_acme(f"{{name: a, key: *{CANARY}}}"),
    in_acme(f"{{name: a, key: !{CANARY} x}}"),
    in_acme(f"{{name: a, key: !{CANARY}!x x}}"),
    in_acme(f"{{name: a, key: '{CANARY}"),
    in_acme(f"{{name: a, key: {CANARY}: x}}"),
    in_acme(f"{{name: '{CANARY}\\n', {CANARY}: 1}}"),
    in_acme(f"{{name: a, key: {CANARY}}}") + f"      - {{name: b, key: {CANARY}}}\n",
    in_acme(f"{{name: a, key: {CANARY}, expires_at: {CANARY}}}"),
    in_acme(f"{{name: a, key: '${{{CANARY}}}'}}"),
    in_acme(f"{{name: a, key: '${{a {CANARY}}}'}}"),
    in_acme(CANARY),
    demo(f"account: acme, upstream: 'http://u:{CANARY}@h'"),
    demo(f"account: acme, upstream: 'http://[{CANARY}]'"),
    demo(f"account: acme, upstream: 'http://h:{CANARY}'"),
    demo(f"account: {CANARY}, upstream: 'http://h', status: {CANARY}"),
    demo(f"account: acme, upstream: 'http://h', upstream_key: '{CANARY} {CANARY}'"),
    demo(f"account: acme, upstream: 'http://h', upstream_key: ['{CANARY}']"),
    f"database: 'postgresql://u:{CANARY}@h/db'\naccounts: {{}}",
    f"server: {{port: {CANARY}, host: '{CANARY} x', log: {CANARY}}}\n" + GOOD,
    f"{CANARY}",
    f"{CANARY}: {CANARY}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_error_quotes_a_secret_wherever_it_was_put(text: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse(text, "gw.yaml", {})
    if f"${{{CANARY}}}" in text:  # the name of a variable is what the reader needs; it is not its value
        return
    seen: BaseException | None = raised.value
    while seen is not None:
        assert "CANARY" not in str(seen)
        assert "CANARY" not in repr(seen)
        seen = seen.__cause__


def test_a_variable_that_needs_quotes_says_so() -> None:
    assert "put ${NAME} in quotes" in errors_of(GOOD.replace("gw_plain_text_for_sandboxes", "${A}"))[0]


@given(st.text(alphabet=string.printable + "\x00é\ud800", max_size=120))
def test_any_text_is_settings_or_a_source_error_with_lines(text: str) -> None:
    said = errors_or_none(text)
    assert said is None or (said and all(re.match(r"gw\.yaml:\d+: .", line) for line in said))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["server", "accounts", "deployments", "database", "keys", "key", "name", "a", "timeouts"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_VALUES)
def test_any_value_in_any_place_is_settings_or_a_source_error(value: object) -> None:
    said = errors_or_none(json.dumps(value))
    assert said is None or (said and all(re.match(r"gw\.yaml:\d+: .", line) for line in said))
