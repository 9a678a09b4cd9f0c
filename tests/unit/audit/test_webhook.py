from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrepot.audit.forward import Batch, Place
from entrepot.audit.lines import as_json
from entrepot.audit.messages import Webhook
from entrepot.audit.webhook import WebhookTarget
from entrepot.ports.audit import ActionEntry, RequestEntry
from entrepot.testing.certificates import certify, server_context
from entrepot.testing.collector import Collector
from entrepot.testing.waiting import PATIENCE

FILE = "audit-20260102T030405.250000Z.jsonl"


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with Collector.in_thread() as receiver:
        yield receiver


@pytest.fixture
def lines(request_entry: RequestEntry, action_entry: ActionEntry) -> list[bytes]:
    return [as_json(request_entry), b"torn\n", as_json(action_entry)]


def _batch(*lines: bytes) -> Batch:
    return Batch(Place(FILE, 300), b"".join(lines))


def test_lines_are_posted_as_a_batch_of_cloud_events(receiver: Collector, lines: list[bytes]) -> None:
    WebhookTarget(Webhook(f"{receiver.url}/hook?key=1", "s3cret")).send(_batch(*lines))
    ((path, headers, events),) = receiver.posted
    assert path == "/hook?key=1"
    assert headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert headers["authorization"] == "Bearer s3cret"
    assert [event["data"] for event in events] == [json.loads(lines[0]), json.loads(lines[2])]
    assert {name: value for name, value in events[0].items() if name != "data"} == {
        "specversion": "1.0",
        "id": f"{FILE}:{300 + len(lines[0])}",
        "source": f"/entrepot/{socket.gethostname()}",
        "type": "entrepot.request",
        "time": "2026-01-02T03:04:05.678000Z",
        "subject": "docker.io/library/alpine",
    }
    assert events[1]["type"] == "entrepot.action"
    assert events[1]["id"] == f"{FILE}:{300 + sum(map(len, lines))}"


def test_lines_that_are_all_whole_are_posted_as_they_would_be_beside_torn_ones(
    receiver: Collector, lines: list[bytes]
) -> None:
    target = WebhookTarget(Webhook(receiver.url))
    request, torn, action = lines
    target.send(_batch(request, action, torn))
    target.send(_batch(request, action))
    first, second = (posted.body for posted in receiver.posted)
    assert first == second


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.rstrip() + line,
        lambda line: line[:60] + b"\n",
        lambda line: line.rstrip() + line + b"\n",
        lambda line: line[: line.index(b",")] + b",\n" + line[line.index(b",") + 1 :] + b"\n",
        lambda _: b"\0" * 20 + b"\n",
        lambda _: b"\xff\n",
        lambda _: b"\n",
        lambda _: b"[]\n",
    ],
)
def test_damage_costs_the_lines_that_it_is_in(
    receiver: Collector, lines: list[bytes], damage: Callable[[bytes], bytes]
) -> None:
    before, _, after = lines
    WebhookTarget(Webhook(receiver.url)).send(_batch(before, damage(before), after))
    ((_, _, events),) = receiver.posted
    assert [event["data"] for event in events] == [json.loads(before), json.loads(after)]


def test_texts_of_any_writing_are_posted_as_they_stand(receiver: Collector) -> None:
    entry = ActionEntry(
        time=datetime.now(UTC), action="test", upstream='a"\u00e9', repository="\u732b", user="\u732b\u00e9"
    )
    WebhookTarget(Webhook(receiver.url)).send(_batch(as_json(entry), as_json(entry)))
    ((_, _, events),) = receiver.posted
    assert [event["data"] for event in events] == [json.loads(as_json(entry))] * 2
    assert [event["subject"] for event in events] == ['a"\u00e9/\u732b'] * 2
    assert events[1]["id"] == f"{FILE}:{300 + 2 * len(as_json(entry))}"


def test_a_url_without_a_path_is_posted_to_the_root(receiver: Collector, lines: list[bytes]) -> None:
    WebhookTarget(Webhook(receiver.url)).send(_batch(*lines))
    ((path, headers, _),) = receiver.posted
    assert path == "/"
    assert "authorization" not in headers


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_success_is_a_failure(receiver: Collector, lines: list[bytes], status: int) -> None:
    receiver.status = status
    with pytest.raises(ConnectionError, match=f"answered {status}"):
        WebhookTarget(Webhook(receiver.url)).send(_batch(*lines))


def test_who_answers_no_http_is_a_failure(lines: list[bytes]) -> None:
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
            WebhookTarget(Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}")).send(_batch(*lines))
        thread.join(PATIENCE)


def test_authorities_that_are_renewed_are_trusted_from_then_on(
    receiver: Collector, lines: list[bytes], tmp_path: Path
) -> None:
    own, other = certify(tmp_path, "own"), certify(tmp_path, "other")
    receiver.socket = server_context(own).wrap_socket(receiver.socket, server_side=True)
    authorities = tmp_path / "authorities.pem"
    url = receiver.url.replace("http:", "https:")
    target = WebhookTarget(Webhook(url, ca_file=str(authorities)))
    with pytest.raises(
        OSError, match=f"{authorities} is no PEM file of certificates: no such file or directory"
    ):
        target.send(_batch(*lines))
    shutil.copy(other.certificate, authorities)
    with pytest.raises(ssl.SSLCertVerificationError):
        target.send(_batch(*lines))
    shutil.copy(own.certificate, authorities)
    target.send(_batch(*lines))
    assert len(receiver.posted) == 1
    target.close()


def test_nothing_is_posted_of_torn_lines_alone(receiver: Collector) -> None:
    WebhookTarget(Webhook(receiver.url)).send(_batch(b"torn\n"))
    assert receiver.posted == []


@pytest.mark.parametrize(
    ("upstream", "repository", "subject"),
    [(None, None, None), ("ghcr.io", None, "ghcr.io"), ("ghcr.io", "owner/name", "ghcr.io/owner/name")],
)
def test_the_subject_is_what_is_known_of_it(
    receiver: Collector, upstream: str | None, repository: str | None, subject: str | None
) -> None:
    entry = ActionEntry(time=datetime.now(UTC), action="test", upstream=upstream, repository=repository)
    WebhookTarget(Webhook(receiver.url)).send(_batch(as_json(entry)))
    ((_, _, (event,)),) = receiver.posted
    assert event.get("subject") == subject


def test_the_token_is_not_shown() -> None:
    assert "s3cret" not in repr(Webhook("https://hook.example", "s3cret"))
