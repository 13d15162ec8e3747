"""Prometheus' rules and Grafana's dashboard speak of metrics that exist."""

import json
import re
from pathlib import Path

import pytest
import yaml

from dicomanon_node.admin.metrics import DECLARED, PREFIX
from dicomanon_node.config import load

DOCKER = Path(__file__).parents[2] / "docker"
DOCUMENT = (DOCKER.parent / "docs" / "monitoring.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]
RULES = [
    rule
    for group in yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((DOCKER / "grafana" / "dicomanon.json").read_text(encoding="utf-8"))
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
LABELS = {metric.name: set(metric.labels) for metric in DECLARED}
EXPOSED = set(LABELS) | {
    metric.name + suffix
    for metric in DECLARED
    if metric.kind == "histogram"
    for suffix in ("_bucket", "_sum", "_count")
}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}\w+", expression))


@pytest.mark.parametrize(
    "expression", [rule["expr"] for rule in RULES] + [target["expr"] for target in TARGETS]
)
def test_every_metric_that_is_asked_for_exists(expression: str) -> None:
    assert metrics_in(expression) <= EXPOSED


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"])
def test_every_label_in_a_legend_is_one_the_metric_has(target: dict[str, str]) -> None:
    for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
        assert all(label in LABELS[name] for name in metrics_in(target["expr"]))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_label_in_an_alert_is_one_the_metric_has(rule: dict[str, dict[str, str]]) -> None:
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert all(label in LABELS[name] for name in metrics_in(str(rule["expr"])))


def test_every_alert_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `(Dicomanon\w+)` \|", DOCUMENT, re.MULTILINE)
    assert documented == [rule["alert"] for rule in RULES]


def test_no_two_panels_lie_on_each_other() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def test_prometheus_asks_the_node_of_the_compose_file_with_its_token(tmp_path: Path) -> None:
    [job] = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    for name in ("stations.json", "studies.json"):
        (tmp_path / name).write_bytes((DOCKER.parent / "config" / name).read_bytes())
    (tmp_path / "node.toml").write_bytes((DOCKER / "node.toml").read_bytes())
    admin = load(tmp_path, {}).node.admin
    [target] = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in COMPOSE
    assert host in admin.hosts
    assert int(port) == admin.port
    assert job["authorization"]["credentials_file"] == str(admin.token_file)
    # The file is of mode 0600: it has to be the same user.
    assert COMPOSE["prometheus"]["user"] == "10001:10001"


def test_monitoring_is_started_only_when_it_is_asked_for() -> None:
    for name in ("prometheus", "grafana"):
        assert COMPOSE[name]["profiles"] == ["monitoring"]
    assert COMPOSE["grafana"]["ports"] == ["127.0.0.1:3000:3000"]
