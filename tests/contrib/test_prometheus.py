"""A PromQL expression as an external metric: over a real socket, answers spelled as the HTTP API documents them."""

import importlib
import json
import math
import sys
import threading
from urllib.parse import parse_qs

import pytest

import progflags as pf
from progflags import _trouble
from progflags.contrib.prometheus import Query
from progflags.testing import ManualClock
from support.patience import until
from support.web import free_port, wsgi_server

AT = 1_435_781_451.781


def vector(*values):
    rows = [{"metric": {"instance": f"host{number}"}, "value": [AT, value]} for number, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": rows}}


def scalar(value):
    return {"status": "success", "data": {"resultType": "scalar", "result": [AT, value]}}


class Server:
    """What a Prometheus says to the next questions; `answer` may also be a function that is called."""

    def __init__(self):
        self.answer = vector("1")
        self.status = "200 OK"
        self.asked = []

    def __call__(self, environ, start_response):
        form = parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        self.asked.append((environ["PATH_INFO"], form["query"][0], environ.get("HTTP_AUTHORIZATION")))
        answer = self.answer() if callable(self.answer) else self.answer
        start_response(self.status, [("Content-Type", "application/json")])
        return [answer if isinstance(answer, bytes) else json.dumps(answer).encode()]


@pytest.fixture
def server():
    app = Server()
    with wsgi_server(app) as app.url:
        yield app


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (vector("0.25"), 0.25),
        (scalar("1.5"), 1.5),
        (vector("1e+06"), 1e6),
        (vector("+Inf"), math.inf),
        (vector(), None),  # no series
        (vector("NaN"), None),  # 0/0: nothing happened, so there is no rate
    ],
)
def test_an_answer_is_one_number_or_no_data(server, answer, value):
    server.answer = answer
    assert Query(server.url, "q").ask() == value


def test_a_missing_numerator_is_zero_where_the_user_says_so_and_a_missing_denominator_never(server):
    query = Query(server.url, "q", missing=0.0)
    server.answer = vector()
    assert query.ask() == 0.0
    server.answer = vector("NaN")
    assert query.ask() is None


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (vector("1", "2"), "200 OK", r"2 series .* put sum\(…\) or max\(…\) around it"),
        ({"status": "error", "errorType": "bad_data", "error": "unclosed parenthesis"}, "400 Bad Request", "bad_data unclosed parenthesis"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "200 OK", "a matrix, not a number"),
        (b"<html>welcome</html>", "200 OK", "is .* a Prometheus server"),
        (b"[]", "502 Bad Gateway", "HTTP 502"),
        (b"[" * 100_000, "200 OK", "is .* a Prometheus server"),
        ({"status": "success"}, "200 OK", r"\(success.data: Field required\): is .* a Prometheus server"),
        (
            {"status": "success", "data": {"resultType": "vector", "result": [{}]}},
            "200 OK",
            r"success.data.vector.result.0.value: Field required",
        ),
        (vector("much"), "200 OK", r"result.0.value.1: Input should be a valid number"),
        (scalar(None), "200 OK", r"result.1: Input should be a valid number"),
        ({"status": "error", "error": ["a", "list"]}, "400 Bad Request", r"error.error: Input should be a valid string"),
    ],
)
def test_what_is_no_single_number_is_refused_in_words(server, answer, status, says):
    server.answer, server.status = answer, status
    with pytest.raises(ValueError, match=says):
        Query(server.url, "q").ask()


def test_the_question_is_posted_with_the_headers_given(server):
    Query(server.url + "/", "sum(up)", headers={"Authorization": "Bearer t"}).ask()
    assert server.asked == [("/api/v1/query", "sum(up)", "Bearer t")]


def test_a_reading_is_none_once_it_is_old_and_while_the_server_is_away(server):
    clock = ManualClock()
    query = Query(server.url, "q", every=3600, max_age=60, clock=clock)
    query.ask()
    try:
        clock.advance(60)
        assert query() == 1.0
        clock.advance(0.1)
        assert query() is None
    finally:
        query.close()

    gone = Query(f"http://127.0.0.1:{free_port()}", "away", every=3600)
    try:
        assert gone() is None
        until(lambda: _trouble.counts().get("prometheus query 'away'") == 1)
        assert gone() is None
    finally:
        gone.close()


def test_reading_never_waits_for_a_server_that_hangs(server):
    """The answer comes only when the test lets it; until then the metric reads as no data."""
    let = threading.Event()
    server.answer = lambda: let.wait(60) and vector("7")
    query = Query(server.url, "q", every=0.01, timeout=60)
    try:
        assert query() is None
        until(lambda: server.asked)
        assert query() is None
        let.set()
        until(lambda: query() == 7.0)
    finally:
        let.set()
        query.close()


STAGE = {"percent": 10, "bake": "1m", "gates": [{"metric": "queue_depth", "max": 40, "kind": "gauge", "policy": "no_alarm"}]}
GATED = {"flags": {"x": {"rollout": {"stages": [STAGE]}}}}


@pytest.mark.parametrize(("depth", "percent"), [("3", 100.0), ("400", 0.0)])
def test_a_gate_reads_it_under_its_name(server, depth, percent):
    """`max = 40`: a queue that is ten times as deep rolls the candidate back, a short one lets it pass."""
    server.answer = vector(depth)
    clock = ManualClock()
    query = Query(server.url, "sum(queue_depth)", every=3600, max_age=3600)
    query.ask()
    with pf.connect(GATED, clock=clock) as flags:
        flags.metrics.source("queue_depth", query)
        flags.rollouts.start("x")
        for _ in range(12):
            flags.metrics.record("x", arm="control", seconds=0.01, error=False, n=90)
            flags.metrics.record("x", arm="candidate", seconds=0.01, error=False, n=10)
            clock.advance("10s")
            flags.rollouts.tick()
        query.close()

        assert flags.rollouts.status("x").percent == percent


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "prometheus:9090"},
        {"url": "ftp://prometheus"},
        {"promql": " "},
        {"every": 0},
        {"max_age": float("nan")},
        {"timeout": float("inf")},
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match=r"url|promql|seconds"):
        Query(**{"url": "http://localhost:9090", "promql": "up", **wrong})


def test_without_httpx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "progflags.contrib.prometheus")

    with pytest.raises(ImportError, match=r"httpx is not installed: pip install 'progflags\[prometheus\]'"):
        importlib.import_module("progflags.contrib.prometheus")
