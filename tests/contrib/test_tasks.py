"""Celery and Dramatiq: a task runs as the user whose request queued it, with the variants that user had met."""

import contextlib
import contextvars
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags._trouble import counts
from progflags.context import bind, current, scope
from progflags.contrib._carry import pack, unpack
from progflags.testing import ManualClock

FLAG = "new-checkout"
DOCUMENT = {"flags": {"new-search": {"percent": 25}, FLAG: {"rollout": {"stages": [{"percent": 50, "bake": "1m"}]}}}}


@pytest.fixture
def flags():
    with pf.connect(DOCUMENT, clock=ManualClock()) as client:
        client.rollouts.start(FLAG)
        client.rollouts.tick()
        yield client


@pytest.fixture
def candidate(flags):
    """A user who has the candidate at 50 %."""
    return next(user for user in (f"u{i}" for i in range(100)) if flags.is_enabled(FLAG, user))


def facts(flags):
    """What a task sees: who it runs as, what that user gets, and why."""
    answer = flags.evaluate(FLAG, False)
    return {"key": current().key if current() else None, "on": answer.value, "reason": str(answer.reason)}


# -- through real workers ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def celery_worker(flags):
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    from progflags.contrib.celery import install

    app = Celery("shop", broker="memory://", backend="cache+memory://")
    seen = []

    @app.task(name="shop.pay", shared=False)
    def pay():
        seen.append(facts(flags))

    @app.task(name="shop.order", shared=False)
    def order():
        seen.append(facts(flags))
        pay.delay()

    handle = install(flags)
    try:
        with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, loglevel="CRITICAL", shutdown_timeout=60):
            yield {"pay": pay.delay, "order": order.delay}, seen
    finally:
        handle.close()
        handle.close()


@contextlib.contextmanager
def dramatiq_worker(flags):
    import dramatiq
    from dramatiq.brokers.stub import StubBroker

    from progflags.contrib.dramatiq import FlagsMiddleware

    broker = StubBroker()
    broker.add_middleware(FlagsMiddleware(flags))
    seen = []

    @dramatiq.actor(broker=broker, actor_name="pay")
    def pay():
        seen.append(facts(flags))

    @dramatiq.actor(broker=broker, actor_name="order")
    def order():
        seen.append(facts(flags))
        pay.send()

    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    worker.start()
    try:
        yield {"pay": pay.send, "order": order.send}, seen
    finally:
        worker.stop()
        broker.close()


WORKERS = {"celery": celery_worker, "dramatiq": dramatiq_worker}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
def test_a_task_is_the_users_and_so_are_the_tasks_it_queues(flags, candidate, worker):
    """Two queued in a request, one queued by a task of it, one queued by nobody: three are the user's, with what the page served."""
    from support.patience import until

    with worker(flags) as (send, seen):
        with bind(candidate, fresh=True):
            assert flags.is_enabled(FLAG)
            send["order"]()
            send["pay"]()
        send["pay"]()
        until(lambda: len(seen) >= 4)

    users = [fact for fact in seen if fact["key"] == candidate]
    assert users == [{"key": candidate, "on": True, "reason": "PINNED"}] * 3
    assert [fact for fact in seen if fact not in users] == [{"key": None, "on": False, "reason": "ERROR"}]


# -- what travels -----------------------------------------------------------------------------------------------------


def header_of(flags, user, attributes=(), given=None):
    with bind(pf.Context(user, given or {}), fresh=True):
        flags.is_enabled(FLAG)
        return pack(attributes)


def run(header, flags):
    with unpack(header, flags):
        return facts(flags)


def test_a_header_is_small_and_says_no_more_than_it_must(flags, candidate):
    """Key and variants; of the attributes only those named, and of those only plain values."""
    given = {"plan": "pro", "email": "ann@example.com", "cart": [1, 2]}

    assert header_of(flags, candidate, (), given) == {"v": 1, "key": candidate, "flags": {FLAG: "on"}}
    assert header_of(flags, candidate, ("plan", "cart", "nothing"), given)["attributes"] == {"plan": "pro"}
    assert header_of(flags, UUID(int=7))["key"] == str(UUID(int=7))
    assert contextvars.Context().run(pack) is None


def test_an_assignment_outlives_a_stage_and_no_emergency(flags, candidate):
    """A share that moved is no reason to change sides; a rollback, a kill, the brake are."""
    header = header_of(flags, candidate)
    outside = next(user for user in (f"u{i}" for i in range(100)) if not flags.is_enabled(FLAG, user))
    control = header_of(flags, outside)

    flags.rollouts.promote(FLAG, full=True)
    assert run(control, flags) == {"key": outside, "on": False, "reason": "PINNED"}
    flags.pin(FLAG, flags.live(FLAG).revision, "blew up")
    assert run(header, flags)["on"] is False
    flags.unpin(FLAG)
    flags.kill(FLAG, reason="smoke")
    assert run(header, flags) == {"key": candidate, "on": False, "reason": "DISABLED"}
    flags.unkill(FLAG)
    flags.rollouts.rollback(FLAG, reason="no")
    assert run(header, flags)["on"] is False


def test_a_variant_that_failed_is_not_carried_into_the_climb_of_the_next(tmp_path):
    """What was queued under a run that was rolled back runs as everybody else does now."""
    file = tmp_path / "flags.toml"
    text = """
    [flags.new-checkout]
    type = "string"
    default = "classic"
    variants = { classic = "classic", fast = "fast", faster = "faster" }
    rollout = { variant = "fast", stages = [{ percent = 100, bake = "1m" }] }
    """
    file.write_text(text)
    with pf.connect(file, clock=ManualClock(), poll=None) as client:
        client.rollouts.start(FLAG)
        client.rollouts.tick()
        with bind(pf.Context("ann"), fresh=True):
            assert client.get(FLAG, "classic") == "fast"
            header = pack()
        client.rollouts.rollback(FLAG, reason="slow")
        file.write_text(text.replace('variant = "fast"', 'variant = "faster"').replace("percent = 100", "percent = 50"))
        client.refresh()
        client.rollouts.retry(FLAG, force=True)
        client.rollouts.tick()
        with unpack(header, client):
            assert client.get(FLAG, "classic") in {"classic", "faster"}


def test_a_task_counts_for_no_arm_by_what_it_was_told(flags, candidate):
    """A carried assignment is an answer given before: no second exposure, and nothing in the caller's own scope."""
    header = header_of(flags, candidate)

    with bind("somebody-else", fresh=True) as outer:
        with unpack(header, flags):
            flags.is_enabled(FLAG)
            assert scope().exposures == {}
        assert outer.exposures == {}
        assert current().key == "somebody-else"


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.dictionaries(st.sampled_from(["v", "key", "flags", "attributes", FLAG, "x"]), inner, max_size=4) | st.lists(inner, max_size=3)
    ),
    max_leaves=10,
)


@given(HEADERS)
def test_whatever_is_in_the_header_the_task_runs(header):
    """A queue holds what somebody put there: another version, another shape. The task runs once, and its own errors are its own."""
    with pf.connect(DOCUMENT, poll=None) as flags:
        ran = []
        with unpack(header, flags):
            ran.append(flags.is_enabled(FLAG))
        assert len(ran) == 1
        with pytest.raises(ZeroDivisionError), unpack(header, flags):
            1 / 0


def test_a_header_of_another_version_is_counted(flags):
    before = counts().get("task header", 0)

    assert run({"v": 2, "key": "u1"}, flags)["key"] is None

    assert counts()["task header"] == before + 1


def test_what_a_definition_gave_that_was_taken_back_is_not_carried(flags):
    """A header has a variant, and not by which definition: it stands as long as the flag would answer it anyway."""
    before = {user for user in (f"u{i}" for i in range(100)) if flags.is_enabled("new-search", user)}
    plan = {"stages": [{"percent": 50, "bake": "1m"}]}
    flags.rollouts.change("new-search", {"rules": [{"serve": "on"}], "rollout": plan})
    user = next(user for user in (f"u{i}" for i in range(100)) if flags.is_enabled("new-search", user) and user not in before)
    with bind(user):
        flags.is_enabled("new-search")
        header = pack()
    assert header["flags"] == {"new-search": "on"}
    with unpack(header, flags):
        assert flags.is_enabled("new-search")
    flags.rollouts.rollback("new-search")
    with unpack(header, flags):
        assert not flags.is_enabled("new-search")
