"""Between two requests a thread belongs to nobody."""

import progflags as pf
from progflags import context
from progflags.context import begin, bind, current, keep_with, latest, scope
from progflags.events import Exposed
from progflags.wsgi import FlagsMiddleware


def test_after_a_request_the_thread_is_nobodys_and_still_counts():
    """A WSGI worker's thread evaluates again after its request: not as the request's user, and its exposures are noted."""
    with pf.connect({"flags": {"x": {"kind": "experiment", "percent": 50}}}, poll=None) as flags:
        seen = []
        flags.bus.listen(Exposed, seen.append)
        app = FlagsMiddleware(lambda environ, start: (start("200 OK", []), iter([b""]))[1], flags=flags, context=lambda environ: "ann")
        list(body := app({}, lambda *_: None))
        body.close()

        assert scope() is None
        assert current() is None
        flags.is_enabled("x", "bob")
        assert [exposed.unit for exposed in seen] == [b"bob"]


def test_a_layer_outside_the_door_still_finds_the_request():
    here = begin("ann")
    here.end()

    assert latest() is here
    with bind("bob") as inner:
        assert inner.exposures is not here.exposures


def test_a_body_nobody_closes_ends_its_request_all_the_same():
    """Test clients read a response and drop it; the thread must not stay that request's."""
    app = FlagsMiddleware(lambda environ, start: (start("200 OK", []), iter([b"a", b"b"]))[1], context=lambda environ: "ann")

    read = app({}, lambda *_: None)
    assert list(read) == [b"a", b"b"]
    assert scope() is None

    dropped = app({}, lambda *_: None)
    assert current().key == "ann"
    del dropped
    assert scope() is None


def test_keepers_are_called_at_requests_but_not_at_every_one(monkeypatch):
    """Looking after threads at each of 10,000 requests a second would be most of what a request pays."""
    now = 1000.0
    monkeypatch.setattr(context, "_due", 0.0)  # put back afterwards, or other tests' threads would not be looked after
    monkeypatch.setattr(context, "perf_counter", lambda: now)
    kept = []
    leave = keep_with(lambda: kept.append(now))
    try:
        for _ in range(100):
            begin("ann").end()
        assert len(kept) == 1
        now += 1.0
        begin("ann").end()
        assert len(kept) == 2
    finally:
        leave()
    now += 1.0
    begin("ann").end()
    assert len(kept) == 2
