"""Tasks under unfriendly conditions: keys no broker can write, two installs, one message twice, pipelines, variants that are gone."""

import contextlib
import enum
import json
import threading
from decimal import Decimal

import pytest

import progflags as pf
from progflags.context import bind, current
from progflags.contrib import _carry
from progflags.contrib._carry import begin_task, end_task, pack, unpack
from progflags.testing import ManualClock
from support.patience import until

FLAG = "new-checkout"
STAGES = {"rollout": {"stages": [{"percent": 50, "bake": "1m"}]}}
DOCUMENT = {"flags": {FLAG: STAGES, "flow": {"variants": {"classic": 1, "fast": 2}, "default": "classic"}}}

quiet = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning"
)


@pytest.fixture
def flags():
    with pf.connect(DOCUMENT, clock=ManualClock()) as client:
        client.rollouts.start(FLAG)
        client.rollouts.tick()
        yield client


def who():
    here = current()
    return None if here is None else here.key


def leftover(flags):
    """Whether this thread answers the flag from somebody's assignment; seen while any override is in force."""
    with flags.override({"flow": "fast"}):
        return flags.evaluate(FLAG, False, "somebody").reason == "PINNED"


@contextlib.contextmanager
def celery(flags, *, installs=1):
    """A Celery application with a task that notes who it runs as, and a worker of one thread."""
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    from progflags.contrib.celery import install

    app = Celery("shop", broker="memory://", backend="cache+memory://")
    seen = []

    @app.task(name="shop.note", shared=False)
    def note():
        seen.append((who(), leftover(flags)))

    handles = [install(flags, attributes=("plan",)) for _ in range(installs)]
    try:
        with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False, loglevel="CRITICAL", shutdown_timeout=60):
            yield note.delay, seen
    finally:
        for handle in handles:
            handle.close()


@contextlib.contextmanager
def dramatiq(flags, *, installs=1):
    import dramatiq
    from dramatiq.brokers.stub import StubBroker

    from progflags.contrib.dramatiq import FlagsMiddleware

    broker = StubBroker()
    for _ in range(installs):
        broker.add_middleware(FlagsMiddleware(flags, attributes=("plan",)))
    seen = []
    actor = dramatiq.actor(lambda *_: seen.append((who(), leftover(flags))), broker=broker, actor_name="note")
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        yield actor.send, seen
    finally:
        worker.stop()
        broker.close()


WORKERS = {"celery": celery, "dramatiq": dramatiq}


class Team(enum.StrEnum):
    RED = "red"


class Place(enum.IntEnum):
    FIRST = 1


@quiet
@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
def test_a_context_no_broker_can_write_down_never_fails_the_sending(flags, worker):
    """What is no targeting key here is none there; a task is queued whatever its request's context holds."""
    keys = [object(), Decimal("NaN"), b"bytes", 1.5, True, "\ud800", ("a", 1), 10**5000]
    with worker(flags) as (send, seen):
        for key in keys:
            with bind(pf.Context(key, {"plan": object()}), fresh=True):
                send()
        until(lambda: len(seen) >= len(keys))

    assert seen == [(None, False)] * len(keys)


@pytest.mark.parametrize(
    ("key", "carried"),
    [(7, 7), (2**63 - 1, 2**63 - 1), (2**64, str(2**64)), (-(2**70), str(-(2**70))), (Team.RED, "red"), (Place.FIRST, "1")],
)
def test_a_key_travels_as_what_every_broker_has_a_word_for(key, carried):
    """An AMQP header has integers of 64 bits; the unit, and so every bucket, stays the same."""
    with bind(pf.Context(key, {"plan": 2**64, "tier": 3}), fresh=True):
        header = pack(("plan", "tier"))

    assert (header["key"], type(header["key"])) == (carried, type(carried))
    assert header["attributes"] == {"tier": 3}
    with unpack(json.loads(json.dumps(header)), None):
        assert current()._kb == pf.Context(key)._kb


@quiet
@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
def test_installed_twice_no_user_stays_behind(flags, worker):
    """The second task of the only thread was queued by nobody, and runs as nobody."""
    user = next(f"u{i}" for i in range(100) if flags.is_enabled(FLAG, f"u{i}"))
    with worker(flags, installs=2) as (send, seen):
        with bind(user, fresh=True):
            flags.is_enabled(FLAG)
            send()
        until(lambda: seen)  # one after the other: a broker promises no order
        send()
        until(lambda: len(seen) >= 2)

        until(lambda: not _carry._running and flags._overriding.active == 0)

    assert seen == [(user, True), (None, False)]


def test_one_client_installed_twice_carries_on_what_the_task_was_told(flags):
    """The second install does not take the first one's override for a pin, and the tasks queued from here keep the assignment."""
    begin_task("t1", {"v": 1, "key": "ann", "flags": {FLAG: "off"}}, flags)
    begin_task("t1", {"v": 1, "key": "ann", "flags": {FLAG: "off"}}, flags)
    carried = pack()
    end_task("t1")
    end_task("t1")

    assert carried == {"v": 1, "key": "ann", "flags": {FLAG: "off"}}
    assert current() is None
    assert not _carry._running


def test_two_clients_end_in_the_reverse_order(flags):
    """Each pins its own flags for the task; neither leaves a pin in the thread."""
    with pf.connect(DOCUMENT, poll=None) as other:
        header = {"v": 1, "key": "ann", "flags": {"flow": "fast"}}
        begin_task("t1", header, flags)
        begin_task("t1", header, other)
        assert [flags.get("flow", 0), other.get("flow", 0)] == [2, 2]
        end_task("t1")
        end_task("t1")

        for client in (flags, other):
            with client.override({FLAG: "on"}):
                assert client.get("flow", 0) == 1


def test_a_task_delivered_twice_ends_in_each_of_its_threads(flags):
    """A broker that lost patience delivers again; the same task runs in two threads, and leaves nothing of its user in either."""
    header, seen = {"v": 1, "key": "ann", "flags": {FLAG: "off"}}, []
    second_began, first_ended = threading.Event(), threading.Event()

    def first():
        begin_task("t1", header, flags)
        other.start()
        second_began.wait(60)
        seen.append((who(), leftover(flags)))
        end_task("t1")
        first_ended.set()
        seen.append((who(), leftover(flags)))

    def second():
        begin_task("t1", header, flags)
        seen.append((who(), leftover(flags)))
        second_began.set()
        first_ended.wait(60)
        end_task("t1")
        seen.append((who(), leftover(flags)))

    one, other = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    one.join(60)
    other.join(60)

    assert seen == [("ann", True), ("ann", True), (None, False), (None, False)]
    assert not _carry._running


@quiet
def test_every_step_of_a_pipeline_is_the_users(flags):
    """Dramatiq queues the next step after the one before it was processed."""
    import dramatiq as library
    from dramatiq.brokers.stub import StubBroker

    from progflags.contrib.dramatiq import FlagsMiddleware

    broker, seen = StubBroker(), []
    broker.add_middleware(FlagsMiddleware(flags))
    actor = library.actor(lambda *_: seen.append(who()), broker=broker, actor_name="step")
    worker = library.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        with bind("ann", fresh=True):
            library.pipeline([actor.message(), actor.message(), actor.message()], broker=broker).run()
        until(lambda: len(seen) >= 3)
        actor.send()
        until(lambda: len(seen) >= 4)
    finally:
        worker.stop()
        broker.close()

    assert seen == ["ann", "ann", "ann", None]


def test_a_variant_that_is_gone_takes_no_other_with_it(flags):
    """The file changed while the task waited: what it still has is served as it was, what it lost is decided anew."""
    header = {"v": 1, "key": "ann", "flags": {"flow": "faster", "retired": "on", FLAG: "off"}}

    with unpack(header, flags):
        assert flags.evaluate(FLAG).reason == "PINNED"
        assert flags.get("flow", 0) == 1


def test_a_task_that_serves_what_its_page_served_is_counted_where_somebody_tells_of_it(flags):
    """`@progressive` serves the carried variant and counts nothing, for the request has been counted; what the task came to is told by hand."""

    @pf.progressive(FLAG, candidate=lambda: "on", flags=flags)
    def work():
        return "off"

    with bind("ann"):
        met = flags.evaluate(FLAG).variant
        header = pack()
    with unpack(header, flags):
        assert work() == met
    assert not any(counts["requests"] for counts in flags.metrics.read(FLAG).values())
    with unpack({"v": 1, "key": "ann"}, flags):  # of a request that did not ask for the flag
        assert work() == met
    flags.metrics.record(FLAG, arm=met, error=True, unit="ann")
    assert sum(counts["requests"] for counts in flags.metrics.read(FLAG).values()) == 2
