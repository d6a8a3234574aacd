"""Notifications: everything that happened, at least once, in order, whoever dies meanwhile."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from progflags.rollout import Hook, Outbox, Webhook, signature
from progflags.rollout.run._claim import PATIENCE
from progflags.store._memory import _MemoryBoard
from rollout.conftest import FLAG


@pytest.fixture
def told():
    return []


def outbox(house, tell):
    box = Outbox(house.store, house.clock)
    box.add(Hook("pager", tell))
    box.deliver()  # a new sink begins here
    return box


def test_every_step_is_told_once_and_in_order(house, told):
    box = outbox(house, told.append)
    house.rollouts.start(FLAG)
    house.run(600)
    assert box.deliver() == len(house.rollouts.history(FLAG))
    assert box.deliver() == 0

    assert [line["to"] for line in told] == [step.target for step in house.rollouts.history(FLAG)]
    assert [line["id"] for line in told][:2] == [f"{FLAG}#1", f"{FLAG}#2"]


def test_a_new_sink_is_not_told_of_the_past(house, told):
    house.rollouts.start(FLAG)
    box = outbox(house, told.append)
    house.rollouts.pause(FLAG)
    box.deliver()

    assert [line["to"] for line in told] == ["paused"]


def test_a_sink_that_fails_is_told_again_later_and_slower(house, told):
    down = [True]

    def tell(line):
        if down:
            raise ConnectionError("no route")
        told.append(line)

    box = outbox(house, tell)
    house.rollouts.start(FLAG)
    assert box.deliver() == 0
    down.clear()
    assert box.deliver() == 0  # backing off
    house.clock.advance(2)

    assert box.deliver() == 2


def test_what_was_taken_before_a_failure_is_not_told_again(house, told):
    fail = [False, True]

    def tell(line):
        if fail and fail.pop(0):
            raise ConnectionError
        told.append(line["id"])

    box = outbox(house, tell)
    house.rollouts.start(FLAG)
    box.deliver()
    house.clock.advance(60)
    box.deliver()

    assert told == [f"{FLAG}#1", f"{FLAG}#2"]


def test_one_process_delivers_and_another_takes_over_when_it_dies(house, told):
    first, second = outbox(house, told.append), Outbox(house.store, house.clock)
    second.add(Hook("pager", told.append))
    house.rollouts.start(FLAG)
    assert second.deliver() == 0  # the first has the claim
    assert first.deliver() == 2
    house.rollouts.pause(FLAG)
    assert second.deliver() == 0
    house.clock.advance(PATIENCE)
    assert second.deliver() == 1

    assert len(told) == 3


def test_whoever_has_not_the_claim_asks_nobody_while_another_tells(house, told, monkeypatch):
    """With a connection for a host it would need one of its own for that, at every change."""
    first, second = outbox(house, told.append), Outbox(house.store, house.clock)
    second.add(Hook("pager", told.append))
    house.rollouts.start(FLAG)
    first.deliver()
    asked, collect = [], _MemoryBoard.collect
    monkeypatch.setattr(_MemoryBoard, "collect", lambda board, topic: asked.append(topic) or collect(board, topic))
    for act in (house.rollouts.pause, house.rollouts.resume, house.rollouts.pause):
        act(FLAG)
        asked.clear()
        assert second.deliver() == 0
        house.clock.advance(1)
        assert second.deliver() == 0
        assert asked == []
        first.deliver()
        house.clock.advance(60)
    first.close()
    house.rollouts.resume(FLAG)
    assert second.deliver() == 0
    house.clock.advance(3)
    assert second.deliver() == 1


def test_a_slow_or_dead_sink_is_never_in_the_way_of_a_tick(house):
    """Nothing of it happens in `tick`."""
    house.rollouts.notify(Hook("dead", lambda line: 1 / 0))
    house.rollouts.start(FLAG)
    house.run(600)

    assert house.status().percent == 100
    assert house.rollouts.deliver() == 0


def test_a_webhook_is_signed_and_answered(house):
    seen = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.headers["X-Progflags-Signature"], self.headers["X-Progflags-Id"], body))
            self.send_response(302 if len(seen) == 1 else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        house.rollouts.notify(Webhook(f"http://127.0.0.1:{server.server_port}/hook", secret="s3cret", timeout=60))
        house.rollouts.deliver()
        house.rollouts.start(FLAG)
        assert house.rollouts.deliver() == 0  # a redirect is no receipt
        house.clock.advance(60)
        assert house.rollouts.deliver() == 2
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    header, line, body = seen[-1]
    at = int(header.partition(",")[0].removeprefix("t="))
    assert header == signature("s3cret", body, at)
    assert (line, json.loads(body)["to"]) == (f"{FLAG}#2", "ramping")


def test_a_webhook_speaks_http_only_and_never_shows_its_secret():
    with pytest.raises(ValueError, match="begins with https"):
        Webhook("file:///etc/passwd")
    assert "s3cret" not in repr(Webhook("https://example.com", secret="s3cret"))
