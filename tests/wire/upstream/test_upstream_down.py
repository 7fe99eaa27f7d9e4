"""A ready deployment whose model server dies: what `/metrics` and the log say of it, and the alert that goes off."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import contract, scene
from tests.harness.processes.fleet import StartGateway
from tests.harness.processes.gateway_process import GatewayProcess
from tests.harness.sockets.scripted_upstream import ScriptedUpstream
from tests.harness.sockets.stage import chat
from tests.harness.sockets.upstream_visit import Visit

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "docs" / "operate" / "alert-rules.yaml"
DASHBOARD = ROOT / "docs" / "operate" / "grafana-dashboard.json"
PAGES = sorted(ROOT.glob("docs/operate/*.md"))
PROBES = "probes: {interval: 0.1, timeout: 5}"


def gauges(gateway: GatewayProcess, name: str) -> dict[str, float]:
    """The samples of a gauge, by deployment, or by deployment and status."""
    families = text_string_to_metric_families(gateway.metrics())
    return {
        " ".join(sample.labels.values()): sample.value
        for family in families
        if family.name == name
        for sample in family.samples
    }


def statuses(gateway: GatewayProcess, deployment: str) -> set[str]:
    """The statuses that a deployment is said to have."""
    told = gauges(gateway, "gguf_deployment_status")
    return {name.split()[1] for name, value in told.items() if name.split()[0] == deployment and value == 1}


@pytest.fixture
def far() -> ScriptedUpstream:
    return ScriptedUpstream()


def start(start_gateway: StartGateway, far: ScriptedUpstream) -> GatewayProcess:
    statuses = {"auto": "auto", "pinned": "ready", "asleep": "paused"}
    rows = [
        f"  {name}: {{account: acme, upstream: '{far.url}', status: {status}}}\n" for name, status in statuses.items()
    ]
    gateway = start_gateway(f"server: {{port: 0, {PROBES}}}\n{scene.ACCOUNTS}deployments:\n{''.join(rows)}")
    for name in ("auto", "pinned"):
        gateway.log.wait_for(f"deployment {name}: upstream ok")
    return gateway


def die(far: ScriptedUpstream) -> None:
    far.health = b""
    far.script = Visit.close


def test_its_gauges_are_honest_and_the_log_warns_once(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway = start(start_gateway, far)
    assert gauges(gateway, "gguf_upstream_up") == {"auto": 1, "pinned": 1}
    assert [statuses(gateway, name) for name in ("auto", "pinned", "asleep")] == [{"ready"}, {"ready"}, {"paused"}]
    die(far)
    for name in ("auto", "pinned"):
        gateway.log.wait_for(rf'"warning".*deployment {name}: upstream .*; its clients get 502 until it is ok')
    assert gauges(gateway, "gguf_upstream_up") == {"auto": 0, "pinned": 0}
    assert [statuses(gateway, name) for name in ("auto", "pinned")] == [{"unreachable"}, {"unreachable"}]
    assert contract.UNREACHABLE.is_kept_by(gateway.ask(chat("auto")))  # it stays ready, and that is a 502
    far.close()  # now it refuses connections: another cause, and no second warning
    gateway.log.wait_for("deployment auto: upstream no connection")
    assert gateway.log.since(0).count("deployment auto: upstream it closed the connection; its clients") == 1
    assert not re.search('"warning".*no connection', gateway.log.since(0))


def test_a_warning_comes_again_with_the_next_death(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    gateway, healthy = start(start_gateway, far), far.health
    for _ in range(2):
        line = len(gateway.log.lines)
        die(far)
        for name in ("auto", "pinned"):
            gateway.log.wait_for(f"{name}: upstream it closed the connection; its clients", start=line)
        line = len(gateway.log.lines)
        far.health = healthy
        gateway.log.wait_for("deployment auto: upstream ok", start=line)
        gateway.log.wait_for("deployment pinned: upstream ok", start=line)
    assert gauges(gateway, "gguf_upstream_up") == {"auto": 1, "pinned": 1}
    far.close()


def test_one_that_was_never_ready_is_no_reason_to_warn(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    far.health = b""
    row = f"deployments:\n  auto: {{account: acme, upstream: '{far.url}'}}\n"
    gateway = start_gateway(f"server: {{port: 0, {PROBES}}}\n{scene.ACCOUNTS}{row}")
    gateway.log.wait_for("deployment auto: upstream it closed the connection")
    assert gauges(gateway, "gguf_upstream_up") == {"auto": 0}
    assert statuses(gateway, "auto") == {"deploying"}
    assert '"warning"' not in "".join(line for line in gateway.log.lines if "deployment auto" in line)
    far.close()


def test_the_documents_name_the_metrics_that_are_exported(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    exported = dict(re.findall(r"^# TYPE (gguf_\w+) (\w+)$", gateway.metrics(), re.MULTILINE))
    rows = re.findall(r"^\| `(gguf_\w+)` \| (\w+) \|", "\n".join(map(Path.read_text, PAGES)), re.MULTILINE)
    assert dict(rows) == exported
    samples = {name + end for name in exported for end in ("", "_bucket", "_sum", "_count")}
    named = {
        name for text in map(Path.read_text, (*PAGES, ALERTS, DASHBOARD)) for name in re.findall(r"\bgguf_\w+", text)
    }
    assert named <= samples


def test_queries_choose_by_labels_that_their_metrics_have() -> None:
    rows = re.findall(r"^\| `(gguf_\w+)` \| \w+ \| ([^|]*) \|", "\n".join(map(Path.read_text, PAGES)), re.MULTILINE)
    labels = {name: set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", told))) for name, told in rows}
    queries = [*_queries(), *(rule["expr"] for rule in _rules())]
    assert len(queries) > 30
    for query in queries:
        for name, chosen in re.findall(r"\b(gguf_\w+)\{(.*?)\}", query):
            asked = set(re.findall(r"(\w+)\s*[=!]", chosen))
            assert asked <= labels[re.sub("_(bucket|sum|count)$", "", name)], query


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Debian's prometheus) is not installed")
def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    written = [re.sub(r"\$__(rate_interval|range)", "5m", query) for query in _queries()]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(written)]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    words = ["promtool", "check", "rules", str(tmp_path / "queries.yml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Debian's prometheus) is not installed")
def test_the_alert_in_the_documents_goes_off(
    start_gateway: StartGateway, upstream: ScriptedUpstream, far: ScriptedUpstream, tmp_path: Path
) -> None:
    """Prometheus's own rules, over what was scraped before and after: ten minutes of each, a sample every 15 s."""
    gateway = start(start_gateway, far)
    before = gateway.metrics()
    die(far)
    gateway.log.wait_for("auto: upstream it closed the connection; its clients")
    gateway.log.wait_for("pinned: upstream it closed the connection; its clients")
    after = gateway.metrics()
    far.close()
    going_off = [{"exp_labels": {"deployment": name}} for name in ("auto", "pinned")]
    for alert in going_off:
        alert["exp_annotations"] = {"summary": _summary_of("GgufUpstreamDown")}
    looks = [("9m", []), ("10m30s", []), ("12m", going_off), ("19m", going_off)]
    test = {
        "interval": "15s",
        "input_series": [
            {"series": name, "values": f"{was}+0x39 {_samples(after).get(name, was)}+0x39"}
            for name, was in _samples(before).items()
        ],
        "alert_rule_test": [
            {"alertname": "GgufUpstreamDown", "eval_time": at, "exp_alerts": alerts} for at, alerts in looks
        ],
    }
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "15s", "tests": [test]})
    )
    for words in (("check", "rules", str(ALERTS)), ("test", "rules", str(tmp_path / "test.yml"))):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _samples(exposition: str) -> dict[str, str]:
    """The gauges of a scrape, as Prometheus writes series."""
    found = re.findall(r"^(gguf_(?:upstream_up|deployment_status)\{[^}]*\}) (\S+)$", exposition, re.MULTILINE)
    return {name: value.removesuffix(".0") for name, value in found}


def _queries() -> list[str]:
    """Of every panel of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def _summary_of(alert: str) -> str:
    (summary,) = [rule["annotations"]["summary"] for rule in _rules() if rule["alert"] == alert]
    return str(summary)
