from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrepot.engine.revalidation import Cache
from entrepot.telemetry.described import Described
from entrepot.telemetry.metrics import OPEN_METRICS_TYPE, TEXT_TYPE, Family, Metrics
from entrepot.telemetry.requests import RequestCounts

DOCS = Path(__file__).parents[3] / "docs/metrics.md"
ROW = re.compile(r"\| `(?P<name>\w+)` \| (?P<kind>\w+) \| (?P<labels>.*?) \| (?P<meaning>.*) \|")

# What clients make up must not become a label: each value is a time series for good.
UNBOUNDED = {"repository", "tag", "digest", "reference", "path", "remote", "user_agent"}


def _value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    families = text_string_to_metric_families(metrics.render().decode())
    return next(
        (
            found.value
            for family in families
            for found in family.samples
            if found.name == sample and found.labels == labels
        ),
        None,
    )


def test_the_docs_list_every_metric_and_no_other() -> None:
    documented = tuple(
        Described(row["name"], row["kind"], tuple(re.findall(r"`(\w+)`", row["labels"])), row["meaning"])
        for row in ROW.finditer(DOCS.read_text())
    )
    assert documented == Metrics().table


def test_the_docs_explain_every_outcome_of_a_request_and_no_other() -> None:
    explained = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", DOCS.read_text(), re.MULTILINE)
    assert sorted(explained) == sorted([*Cache, "error", "none"])


def test_the_docs_keep_to_lines_of_120_characters() -> None:
    assert [line for line in DOCS.read_text().splitlines() if len(line) > 120] == []


def test_what_is_counted_is_rendered() -> None:
    metrics = Metrics()
    metrics.request("docker.io", "manifest", "hit", 200).add(0.002, 100)
    metrics.request("docker.io", "manifest", "hit", 200).add(0.2, 150)
    labels = {"upstream": "docker.io", "kind": "manifest", "outcome": "hit", "status": "200"}
    assert _value(metrics, "entrepot_requests_total", **labels) == 2
    assert _value(metrics, "entrepot_sent_bytes_total", upstream="docker.io", kind="manifest") == 250


def test_durations_are_summed_over_statuses() -> None:
    metrics = Metrics()
    metrics.request("docker.io", "blob", "hit", 200).add(0.5, 0)
    metrics.request("docker.io", "blob", "hit", 206).add(0.05, 0)
    metrics.request("ghcr.io", "blob", "hit", 206).add(0.05, 0)
    labels = {"upstream": "docker.io", "kind": "blob", "outcome": "hit"}
    assert _value(metrics, "entrepot_request_seconds_bucket", le="1.0", **labels) == 2
    assert _value(metrics, "entrepot_request_seconds_bucket", le="0.1", **labels) == 1
    assert _value(metrics, "entrepot_request_seconds_bucket", le="+Inf", **labels) == 2
    assert _value(metrics, "entrepot_request_seconds_sum", **labels) == 0.55
    assert _value(metrics, "entrepot_request_seconds_count", **labels) == 2


def test_every_kind_of_metric_is_rendered() -> None:
    metrics = Metrics()
    metrics.connections().set(3)
    metrics.log_lines_dropped().inc(7)
    metrics.upstream_seconds("docker.io", "blob").observe(0.5)
    assert _value(metrics, "entrepot_connections") == 3
    assert _value(metrics, "entrepot_log_lines_dropped_total") == 7
    labels = {"upstream": "docker.io", "kind": "blob"}
    assert _value(metrics, "entrepot_upstream_request_seconds_bucket", le="1.0", **labels) == 1
    assert _value(metrics, "entrepot_upstream_request_seconds_bucket", le="0.1", **labels) == 0
    assert _value(metrics, "entrepot_upstream_request_seconds_sum", **labels) == 0.5


def test_the_same_values_give_the_same_child() -> None:
    metrics = Metrics()
    assert metrics.fills_running("ghcr.io") is metrics.fills_running("ghcr.io")
    assert metrics.fills_running("ghcr.io") is not metrics.fills_running("quay.io")


def test_a_call_names_every_label() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().upstream_requests("docker.io")


def test_two_sets_of_metrics_know_nothing_of_each_other() -> None:
    first, second = Metrics(), Metrics()
    first.connections().set(3)
    assert _value(second, "entrepot_connections") == 0


def test_no_label_takes_values_that_clients_make_up() -> None:
    assert not {label for row in Metrics().table for label in row.labels} & UNBOUNDED


def test_every_metric_is_reached_by_its_own_attribute() -> None:
    metrics = Metrics()
    families = [value for value in vars(metrics).values() if isinstance(value, Family)]
    assert len(families) == len(metrics.table) - len(RequestCounts.table)


def test_the_process_itself_is_measured() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()


def _counted() -> Metrics:
    metrics = Metrics()
    for upstream in ("docker.io", "ghcr.io", ""):
        metrics.request(upstream, "manifest", "hit", 200).add(0.002, 100)
        metrics.request(upstream, "blob", "miss", 206).add(2.0, 100)
    for family in vars(metrics).values():
        if isinstance(family, Family):
            family(*family.labels)
    return metrics


def test_the_answer_is_of_the_type_it_says() -> None:
    assert TEXT_TYPE.startswith("text/plain")
    assert Metrics().render().startswith(b"# HELP")
    assert Metrics().render(OPEN_METRICS_TYPE).endswith(b"# EOF\n")


def test_both_types_tell_the_same_of_every_metric_and_no_series_twice() -> None:
    metrics = _counted()
    plain = list(text_string_to_metric_families(metrics.render().decode()))
    open_metrics: Any = import_module("prometheus_client.openmetrics.parser")  # It has no types.
    strict = list(open_metrics.text_string_to_metric_families(metrics.render(OPEN_METRICS_TYPE).decode()))
    told, same = (
        [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
        for families in (plain, strict)
    )
    assert sorted(told) == sorted(same)
    assert len(set(told)) == len(told)
    kinds = {family.name: (family.type, family.documentation) for family in plain}
    assert {row.name.removesuffix("_total"): (row.kind, row.meaning) for row in metrics.table}.items() <= (
        kinds.items()
    )
