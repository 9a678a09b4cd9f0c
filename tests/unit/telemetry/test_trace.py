from __future__ import annotations

import asyncio
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest

from entrepot.errors import UpstreamDown
from entrepot.telemetry import trace as module
from entrepot.telemetry.trace import Kind, Root, Span, Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced(Tracing):
    """Keeps the spans that ended; chance has it that every second request is within the share."""

    def __init__(self, share: float = 1.0, plain_a_second: int = 100) -> None:
        chances = iter([0.25, 0.75] * 10)
        self.time = 0.0
        super().__init__(lambda: next(chances), lambda: self.time)
        self.ended: list[Span] = []
        self.configure(self.ended.append, share, plain_a_second)

    def begun(self, traceparent: str | None = None) -> Root:
        root = self.begin_request(traceparent)
        assert root is not None
        return root

    def end(self, root: Root, *, is_plain: bool = True) -> Span | None:
        span = self.end_request(root, is_plain=is_plain)
        if span is not None:
            span.end()
        return span


def test_nothing_is_traced_where_nobody_collects_it() -> None:
    tracing = Tracing()
    assert not tracing.is_on
    assert tracing.begin_request(f"00-{TRACE}-{PARENT}-01") is None
    with tracing.span("within") as span:
        assert span is None


def test_a_request_is_part_of_its_senders_trace() -> None:
    tracing = Traced()
    span = tracing.begun(f"00-{TRACE}-{PARENT}-01").begun()
    assert (span.trace_id, span.parent_id, span.kind) == (TRACE, PARENT, Kind.SERVER)


def test_a_sender_that_does_not_trace_is_followed() -> None:
    assert Traced().begin_request(f"00-{TRACE}-{PARENT}-00") is None


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
def test_a_request_without_a_valid_traceparent_begins_a_trace(traceparent: str | None) -> None:
    tracing = Traced()
    first, second = tracing.begun(traceparent).begun(), tracing.begun(traceparent).begun()
    assert first.parent_id == ""
    assert len({first.trace_id, second.trace_id, TRACE}) == 3


def test_a_share_of_the_requests_is_traced() -> None:
    tracing = Traced(share=0.5)
    begun = [tracing.begin_request(None) is not None for _ in range(4)]
    assert begun == [True, False, True, False]
    assert tracing.begin_request(f"00-{TRACE}-{PARENT}-01") is not None


def test_what_is_within_a_request_that_is_not_traced_is_not_either() -> None:
    tracing = Traced(share=0.0)
    tracing.begin_request(None)
    assert tracing.begin("within") is None


async def test_work_belongs_to_the_request_that_began_it_though_it_outlives_it() -> None:
    tracing = Traced()

    async def work() -> None:
        with tracing.span("work", Kind.CLIENT, size=3):
            await asyncio.sleep(0)

    async def answer() -> asyncio.Task[None]:
        root = tracing.begun()
        task = asyncio.create_task(work())
        root.begun().end(status=200)
        return task

    for _ in range(2):
        await (await asyncio.create_task(answer()))
    first, first_work, second, second_work = tracing.ended
    assert (first_work.trace_id, first_work.parent_id) == (first.trace_id, first.span_id)
    assert (second_work.trace_id, second_work.parent_id) == (second.trace_id, second.span_id)
    assert first.trace_id != second.trace_id
    assert (first.attributes, first_work.attributes) == ({"status": 200}, {"size": 3})
    assert first_work.begun_at <= first_work.ended_at


def passing(tracing: Traced) -> Iterator[float]:
    """Yield the moments of some requests, in seconds, each of which is the time while it is handed out."""
    for tracing.time in (1.1, 1.2, 1.9, 2.05, 2.15, 2.2, 7.5, 8.5, 8.6, 8.7):
        yield tracing.time


def test_of_those_that_waited_for_nothing_so_many_a_second_are_told() -> None:
    tracing = Traced(plain_a_second=2)
    told = [moment for moment in passing(tracing) if tracing.end(tracing.begun()) is not None]
    assert told == [1.1, 1.2, 2.15, 2.2, 7.5, 8.5, 8.6]


def test_while_it_is_quiet_none_of_them_is_told() -> None:
    tracing = Traced(plain_a_second=2)
    quiet = []
    for moment in passing(tracing):
        if moment < tracing.quiet_until:
            quiet.append(moment)
            assert tracing.end(tracing.begun()) is None
        else:
            tracing.end(tracing.begun())
    assert quiet == [2.05]


def test_it_is_quiet_where_nobody_collects() -> None:
    tracing = Tracing()
    assert tracing.quiet_until == inf
    tracing.configure(lambda _span: None, 1.0, 5)
    assert tracing.quiet_until == 0.0
    tracing.configure(None, 1.0, 5)
    assert tracing.quiet_until == inf


@pytest.mark.parametrize("never", [{"share": 0.0}, {"plain_a_second": 0}])
def test_it_is_always_quiet_where_none_is_to_be_told(never: dict[str, Any]) -> None:
    assert Traced(**never).quiet_until == inf


def test_of_very_many_so_many_a_second_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 1)
    tracing = Traced()
    looked_at = [moment for moment in passing(tracing) if tracing.begin_request(None) is not None]
    assert looked_at == [1.1, 2.15, 7.5, 8.5]
    assert tracing.quiet_until == 9.5
    assert tracing.begin_request(f"00-{TRACE}-{PARENT}-01") is not None


@pytest.mark.parametrize("because", ["it is not plain", "its sender wants it", "it asked an upstream"])
def test_what_there_is_to_tell_is_told_however_many_there_are(because: str) -> None:
    tracing = Traced(plain_a_second=0)
    for _ in range(3):
        root = tracing.begun(f"00-{TRACE}-{PARENT}-01" if because == "its sender wants it" else None)
        if because == "it asked an upstream":
            with tracing.span("ask"):
                pass
        assert tracing.end(root, is_plain=because != "it is not plain") is not None
    roots = [span for span in tracing.ended if span.kind is Kind.SERVER]
    assert len(roots) == 3
    assert {span.parent_id for span in tracing.ended if span.name == "ask"} <= {one.span_id for one in roots}


def test_what_is_begun_after_a_request_ended_untold_is_told_in_its_place() -> None:
    tracing = Traced(plain_a_second=0)
    assert tracing.end(tracing.begun()) is None
    for name in ("first", "second"):
        with tracing.span(name):
            pass
    first, second = tracing.ended
    assert (first.parent_id, second.parent_id) == ("", "")
    assert first.trace_id == second.trace_id != ""


def test_a_request_that_is_not_traced_is_none_of_one_that_was_traced_before_it() -> None:
    tracing = Traced(share=0.5)
    assert tracing.begin_request(None) is not None
    assert tracing.begin_request(None) is None
    assert tracing.begin("within") is None


def test_a_request_is_told_from_its_beginning() -> None:
    tracing = Traced()
    root = tracing.begun()
    with tracing.span("ask"):
        pass
    tracing.end(root)
    ask, request = tracing.ended
    assert request.begun_at <= ask.begun_at <= ask.ended_at <= request.ended_at


def test_a_failure_is_told_and_goes_on_its_way() -> None:
    tracing = Traced()
    tracing.begin_request(None)

    def ask() -> None:
        with tracing.span("ask"):
            raise UpstreamDown("nobody answers")

    with pytest.raises(UpstreamDown):
        ask()
    assert [span.failure for span in tracing.ended] == ["nobody answers"]


async def test_what_is_cancelled_was_broken_off() -> None:
    tracing = Traced()
    tracing.begin_request(None)

    async def ask() -> None:
        with tracing.span("ask"):
            await asyncio.sleep(3600)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert [span.failure for span in tracing.ended] == ["broken off"]
