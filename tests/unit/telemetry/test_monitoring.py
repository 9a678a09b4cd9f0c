"""The dashboard and the alert rules ask for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrepot.telemetry.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs"
DASHBOARD = json.loads((DOCS / "monitoring/dashboard.json").read_text())
(GROUP,) = yaml.safe_load((DOCS / "monitoring/alerts.yaml").read_text())["groups"]
ALERTS = GROUP["rules"]
TABLE = {row.name: row for row in Metrics().table}

OF_ANY = {"instance", "job", "le"}
"""Labels that Prometheus adds."""
TEXT = re.compile(r'"[^"]*"')
SELECTOR = re.compile(r"(?P<name>entrepot_\w+)(?P<labels>\{[^}]*\})?(?P<range>\[\w+|\[\$\w+)?")
MATCHER = re.compile(r'(?P<label>\w+)\s*(?P<operator>=~|=)\s*"(?P<value>[^"]*)"')
PAIRS = {")": "(", "]": "[", "}": "{"}


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def _expressions() -> Iterator[tuple[str, str]]:
    yield from ((alert["alert"], alert["expr"]) for alert in ALERTS)
    for panel in _panels():
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])


EXPRESSIONS = list(_expressions())
each_expression = pytest.mark.parametrize(
    "expression", [text for _, text in EXPRESSIONS], ids=[name for name, _ in EXPRESSIONS]
)


def _family(name: str) -> str:
    """Return the metric that a series belongs to."""
    return re.sub(r"_(bucket|sum|count)$", "", name) if name not in TABLE else name


def _labels(expression: str) -> set[str]:
    names = [_family(match["name"]) for match in SELECTOR.finditer(expression)]
    return OF_ANY.union(*(TABLE[name].labels for name in names))


@each_expression
def test_every_metric_that_is_asked_for_is_in_the_table(expression: str) -> None:
    asked = {_family(name) for name in re.findall(r"entrepot_\w+", expression)}
    assert asked <= TABLE.keys()
    assert asked or "process_" in expression


@each_expression
def test_metrics_are_told_apart_and_summed_by_labels_that_they_have(expression: str) -> None:
    for match in SELECTOR.finditer(expression):
        used = {matcher["label"] for matcher in MATCHER.finditer(match["labels"] or "")}
        assert used <= OF_ANY.union(TABLE[_family(match["name"])].labels)
    summed = {label for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(", ")}
    assert summed <= _labels(expression)


@each_expression
def test_labels_are_compared_with_values_that_the_docs_tell(expression: str) -> None:
    words = set(re.findall(r"\w+", (DOCS / "metrics.md").read_text()))
    values = [
        value
        for matcher in MATCHER.finditer(expression)
        if not matcher["value"].startswith("$") and matcher["label"] != "status"
        for value in matcher["value"].split("|")
    ]
    assert set(values) <= words


@each_expression
def test_counters_are_asked_for_their_increase_and_gauges_for_what_they_show(expression: str) -> None:
    for match in SELECTOR.finditer(expression):
        grows = TABLE[_family(match["name"])].kind != "gauge"
        assert (match["range"] is not None) == grows


@each_expression
def test_brackets_and_quotes_end_where_they_should(expression: str) -> None:
    assert expression.count('"') % 2 == 0
    opened: list[str] = []
    for character in TEXT.sub("", expression):
        if character in PAIRS.values():
            opened.append(character)
        elif character in PAIRS:
            assert opened.pop() == PAIRS[character]
    assert opened == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_tells_how_bad_it_is_what_happened_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description"}
    told = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    assert told <= _labels(alert["expr"])
    assert f"| `{alert['alert']}` |" in (DOCS / "monitoring.md").read_text()


def test_the_docs_name_no_alert_that_there_is_not() -> None:
    named = re.findall(r"^\| `(Entrepot\w+)` \|", (DOCS / "monitoring.md").read_text(), re.MULTILINE)
    assert named == [alert["alert"] for alert in ALERTS]


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: panel["title"])
def test_a_panel_has_a_title_a_meaning_and_a_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} <= set(range(24))


def test_the_variables_of_the_dashboard_are_those_that_it_uses() -> None:
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps(DASHBOARD["panels"])
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith("__")}
    assert used == variables
