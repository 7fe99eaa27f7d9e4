"""What stands where a secret belongs, and is none."""

import json
import subprocess
from pathlib import Path

import pytest

from gateway.config.document import SourceError
from gateway.config.placeholders import is_placeholder
from gateway.config.settings import parse, warnings
from tests.harness.patience import PATIENCE
from tests.harness.processes.gateway_process import COMMAND

PLACEHOLDERS = (
    *("$GATEWAY_KEY", "$env:GATEWAY_KEY", "$(cat key)", "%GATEWAY_KEY%", "os.environ/GATEWAY_KEY"),
    *("{{ gateway_key }}", "gw_{{ .Values.key }}", "<your-key>", "<paste the key here>", "xxxxxxxx", "gw_xxxxxxxxxxxx"),
    *("your-api-key", "YOUR_API_KEY", "sk-your-key-here", "changeme", "change-me", "placeholder"),
)
SECRETS = (
    *(
        "my-own-secret",
        "with/some+signs=of.2024",
        "pa$$word-of-mine",
        "100%-certain%",
        "a<b>c-and-more",
        "hunter2hunter2",
    ),
    *("{single}-braces", "os.environment", "monkeykeytoken7"),
)


def config(host: str, key: str = "my-own-secret", upstream_key: str = "another-secret") -> str:
    return f"""\
server: {{host: "{host}"}}
accounts:
  acme:
    keys:
      - name: laptop
        key: {json.dumps(key)}
deployments:
  demo:
    account: acme
    upstream: http://127.0.0.1:9931
    upstream_key: {json.dumps(upstream_key)}
"""


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_placeholders_are_recognised(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize("text", [*SECRETS, "gw_0123456789ABCDEFGHIJabcdefghij0123456789012345"])
def test_secrets_of_any_form_are_no_placeholders(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])
@pytest.mark.parametrize(("field", "line"), [("key", 6), ("upstream_key", 11)])
def test_beyond_loopback_a_placeholder_is_an_error(host: str, field: str, line: int) -> None:
    with pytest.raises(SourceError) as raised:
        parse(config(host, **{field: "$GATEWAY_KEY"}), "gateway.yaml", {})
    (said,) = raised.value.lines
    place = {"key": "accounts.acme.keys[0].key", "upstream_key": "deployments.demo.upstream_key"}[field]
    assert said.startswith(f"gateway.yaml:{line}: {place}: is a placeholder and not a secret")
    assert "GATEWAY_KEY" not in said


@pytest.mark.parametrize("field", ["key", "upstream_key"])
def test_on_loopback_a_placeholder_is_a_warning(field: str) -> None:
    (said,) = warnings(parse(config("127.0.0.1", **{field: "<your-key>"}), "gateway.yaml", {}))
    assert f"{field}: a placeholder stands where a secret belongs" in said
    assert "<your-key>" not in said


def test_a_variable_that_holds_a_placeholder_is_one() -> None:
    with pytest.raises(SourceError, match="is a placeholder"):
        parse(config("0.0.0.0", "${KEY}"), "gateway.yaml", {"KEY": "{{gateway_key}}"})


def test_an_address_on_the_command_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(config("127.0.0.1", "%GATEWAY_KEY%"))
    command = (*COMMAND, "--config", str(path), "--host", "0.0.0.0", "--port", "0")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{path}:6: accounts.acme.keys[0].key: is a placeholder")


@pytest.mark.parametrize("form", [":-", "-", ":=", "=", ":?", "?", ":+", "+"])
def test_what_a_shell_would_fall_back_on_is_not_supported(form: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse(config("127.0.0.1", f"${{KEY{form}a-secret}}"), "gateway.yaml", {"KEY": "set-all-the-same"})
    (said,) = raised.value.lines
    assert said == f"gateway.yaml:6: accounts.acme.keys[0].key: `${{KEY{form}...}}` is not supported; `${{KEY}}` is"
