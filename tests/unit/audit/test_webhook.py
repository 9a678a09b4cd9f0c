from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from entrepot.audit.forward import KeptLine, Place
from entrepot.audit.lines import as_json
from entrepot.audit.webhook import WebhookTarget
from entrepot.config.schema import WebhookSettings
from entrepot.config.secret import Secret
from entrepot.ports.audit import ActionEntry, RequestEntry
from entrepot.testing.collector import Collector

FILE = "audit-20260102T030405.250000Z.jsonl"


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with Collector.in_thread() as receiver:
        yield receiver


@pytest.fixture
def lines(request_entry: RequestEntry, action_entry: ActionEntry) -> list[KeptLine]:
    return [
        KeptLine(as_json(request_entry).rstrip(), Place(FILE, 300)),
        KeptLine(b"torn", Place(FILE, 305)),
        KeptLine(as_json(action_entry).rstrip(), Place(FILE, 600)),
    ]


def test_lines_are_posted_as_a_batch_of_cloud_events(receiver: Collector, lines: list[KeptLine]) -> None:
    WebhookTarget(WebhookSettings(url=f"{receiver.url}/hook?key=1", token=Secret("s3cret"))).send(lines)
    ((path, headers, events),) = receiver.posted
    assert path == "/hook?key=1"
    assert headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert headers["authorization"] == "Bearer s3cret"
    assert [event["data"] for event in events] == [json.loads(lines[0].content), json.loads(lines[2].content)]
    assert {name: value for name, value in events[0].items() if name != "data"} == {
        "specversion": "1.0",
        "id": f"{FILE}:300",
        "source": f"/entrepot/{socket.gethostname()}",
        "type": "entrepot.request",
        "time": "2026-01-02T03:04:05.678000Z",
        "subject": "docker.io/library/alpine",
    }
    assert events[1]["type"] == "entrepot.action"


def test_a_url_without_a_path_is_posted_to_the_root(receiver: Collector, lines: list[KeptLine]) -> None:
    WebhookTarget(WebhookSettings(url=receiver.url)).send(lines)
    ((path, headers, _),) = receiver.posted
    assert path == "/"
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_success_is_a_failure(receiver: Collector, lines: list[KeptLine], status: int) -> None:
    receiver.status = status
    with pytest.raises(ConnectionError, match=f"answered {status}"):
        WebhookTarget(WebhookSettings(url=receiver.url)).send(lines)


def test_who_answers_no_http_is_a_failure(lines: list[KeptLine]) -> None:
    def babble(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            while connection.recv(1 << 16):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=babble, args=(listening,))
        thread.start()
        with pytest.raises(ConnectionError, match="no HTTP"):
            WebhookTarget(WebhookSettings(url=f"http://127.0.0.1:{listening.getsockname()[1]}")).send(lines)
        thread.join(10)


def test_nothing_is_posted_of_torn_lines_alone(receiver: Collector) -> None:
    WebhookTarget(WebhookSettings(url=receiver.url)).send([KeptLine(b"torn", Place(FILE, 305))])
    assert receiver.posted == []


@pytest.mark.parametrize(
    ("upstream", "repository", "subject"),
    [(None, None, None), ("ghcr.io", None, "ghcr.io"), ("ghcr.io", "owner/name", "ghcr.io/owner/name")],
)
def test_the_subject_is_what_is_known_of_it(
    receiver: Collector, upstream: str | None, repository: str | None, subject: str | None
) -> None:
    entry = ActionEntry(time=datetime.now(UTC), action="test", upstream=upstream, repository=repository)
    line = KeptLine(as_json(entry).rstrip(), Place(FILE, 300))
    WebhookTarget(WebhookSettings(url=receiver.url)).send([line])
    ((_, _, (event,)),) = receiver.posted
    assert event.get("subject") == subject
