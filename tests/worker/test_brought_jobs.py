"""A report brings the next job: where it may, and what happens where it does not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.dispatch.wire import CompleteRequest, NextRequest
from memoryd.worker import delivery
from memoryd.worker.server_link import ServerLink
from tests.worker.graphs import painting, picture


def reports(server: Any, count: int) -> list[CompleteRequest]:
    server.wait_for(lambda: len(server.completed) == count)
    return list(server.completed)


def test_a_small_result_brings_the_next_job(server: Any, start: Any) -> None:
    asked = [server.add(picture(colour)) for colour in (1, 2, 3)]
    with start():
        told = reports(server, 3)
        incarnation = server.registered[0].incarnation
    assert [report.job_id for report in told] == [job.job_id for job in asked]
    assert [report.next for report in told] == [NextRequest(incarnation=incarnation, loaded=[])] * 3


def test_what_takes_long_to_send_is_no_reason_to_wait(server: Any, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BRINGS_NEXT_LIMIT", 10)
    for colour in (1, 2):
        server.add(picture(colour))
    with start():
        told = reports(server, 2)
    assert [report.next for report in told] == [None, None]


def test_an_older_server_is_asked_once(server: Any, start: Any) -> None:
    server.knows_next = False
    for colour in (1, 2, 3):
        server.add(picture(colour))
    with start():
        told = reports(server, 3)
    assert [report.next is not None for report in told] == [True, False, False]


def test_a_report_whose_answer_was_lost_is_sent_again_and_asks_no_more(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bool] = []
    deliver = ServerLink.deliver

    def noted(link: ServerLink, report: CompleteRequest, folder: Any) -> Any:
        sent.append(report.next is not None)
        return deliver(link, report, folder)

    monkeypatch.setattr(ServerLink, "deliver", noted)
    server.lose_replies = 1
    with start():
        server.add(picture(1))
        reports(server, 1)
        server.wait_for(lambda: len(sent) == 2)
        server.add(picture(2))
        reports(server, 2)
    assert sent[:2] == [True, False]


def test_a_worker_that_drains_asks_for_nothing(server: Any, start: Any, engine_url: str) -> None:
    with start(), ComfyClient(engine_url) as comfyui:
        job = server.add(painting())
        server.wait_for(lambda: comfyui.queue().running)
        server.drains, known = True, len(server.beats)
        server.wait_for(lambda: len(server.beats) > known + 2)
        server.cancelled.add(job.job_id)
        (told,) = reports(server, 1)
    assert told.next is None


def test_a_job_that_came_after_the_worker_was_asked_to_end_is_given_back(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_up, go_on = threading.Event(), threading.Event()
    deliver = ServerLink.deliver

    def slow(link: ServerLink, report: CompleteRequest, folder: Any) -> Any:
        answer = deliver(link, report, folder)
        held_up.set()
        go_on.wait(5)
        return answer

    monkeypatch.setattr(ServerLink, "deliver", slow)
    first, second = server.add(picture(1)), server.add(picture(2))
    with start() as stopping:
        assert held_up.wait(30)
        stopping.ask()
        go_on.set()
        server.wait_for(lambda: server.released)
    assert [report.job_id for report in server.completed] == [first.job_id]
    assert [(given.job_id, given.kind) for given in server.released] == [(second.job_id, "worker-stopped")]
