"""Whatever the candidate does, the caller gets what the control alone would give: the very object, or the very exception."""

import asyncio
import signal
import sys
import threading
import time
from functools import partial

import pytest

from progflags.asgi import DarkLaunchMiddleware
from progflags.darklaunch import Outcome, dark_launch


class Answer:
    """Compared by attributes; every control returns one, so that identity means something."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Answer) and self.value == other.value

    __hash__ = None


class Hostile:
    def __eq__(self, other):
        raise SystemExit("eq")

    def __repr__(self):
        raise RuntimeError("repr")

    def __len__(self):
        raise RuntimeError("len")

    __hash__ = None


class Lying:
    def __eq__(self, other):
        return [False]

    __hash__ = None


def _recurse(n=0):
    return _recurse(n + 1)


def _raise(error):
    raise error


def _cyclic():
    value = []
    value.append(value)
    return value


def _mutate(box):
    box.append("candidate was here")
    return len(box)


def _numpy():
    import numpy as np

    return np.array([1, 2])


async def _coroutine():
    return 1


def _generator():
    yield 1


def _endless():
    while True:
        yield 1


def _environment():
    import os

    os.environ["PROGFLAGS_TEST"] = "x"
    del os.environ["PROGFLAGS_TEST"]


def _contextvar():
    from contextvars import ContextVar

    ContextVar("x").set(1)


class _Group(BaseException):
    pass


MISBEHAVIOURS = {
    "raises": lambda box: _raise(ValueError("x")),
    "SystemExit": lambda box: sys.exit(3),
    "KeyboardInterrupt": lambda box: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda box: _raise(GeneratorExit()),
    "CancelledError": lambda box: _raise(asyncio.CancelledError()),
    "StopIteration": lambda box: _raise(StopIteration(3)),
    "StopAsyncIteration": lambda box: _raise(StopAsyncIteration()),
    "BaseException": lambda box: _raise(_Group()),
    "BaseExceptionGroup": lambda box: _raise(BaseExceptionGroup("x", [KeyboardInterrupt()])),
    "RecursionError": lambda box: _recurse(),
    "MemoryError": lambda box: _raise(MemoryError()),
    "Unprintable error": lambda box: _raise(type("E", (Exception,), {"__str__": lambda self: _raise(RuntimeError())})()),
    "mutates": _mutate,
    "clears": lambda box: box.clear(),
    "returns None": lambda box: None,
    "returns other type": lambda box: {"a": {1, 2}},
    "returns hostile": lambda box: Hostile(),
    "returns nested hostile": lambda box: {"a": [Hostile()]},
    "returns lying": lambda box: Lying(),
    "returns cyclic": lambda box: _cyclic(),
    "returns huge": lambda box: list(range(200_000)),
    "returns deep": lambda box: __import__("functools").reduce(lambda inner, _: [inner], range(5000), 1),
    "returns numpy": lambda box: _numpy(),
    "returns nan": lambda box: float("nan"),
    "returns coroutine": lambda box: _coroutine(),
    "returns generator": lambda box: _generator(),
    "returns endless": lambda box: _endless(),
    "returns file": lambda box: sys.stdin,
    "returns lock": lambda box: threading.Lock(),
    "changes environment": lambda box: _environment(),
    "sets context": lambda box: _contextvar(),
    "takes wrong arguments": lambda: None,
}


class Thing:
    """The methods' owner."""


def _shapes(candidate, executor, flags, fails):
    """Every kind of callable, all answering the same object (or raising the same exception), all shadowed by `candidate`."""
    answer = Answer(1) if not fails else None
    error = None if not fails else LookupError("control")

    def result():
        if error is not None:
            raise error
        return answer

    def launch(**more):
        return dark_launch("on", candidate=candidate, flags=flags, executor=executor, reduce=_value, **more)

    @launch()
    def function(box):
        return result()

    @launch()
    async def coroutine(box):
        return result()

    @launch()
    def generator(box):
        yield result()

    @launch()
    async def async_generator(box):
        yield result()

    class Owner:
        method_of = candidate

        @dark_launch("on", candidate=lambda self, box: candidate(box), flags=flags, executor=executor, reduce=_value)
        def method(self, box):
            return result()

        @dark_launch("on", candidate=lambda cls, box: candidate(box), flags=flags, executor=executor, reduce=_value)
        @classmethod
        def above_class(cls, box):
            return result()

        @staticmethod
        @launch()
        def static(box):
            return result()

        @launch()
        @staticmethod
        def above_static(box):
            return result()

    owner = Owner()
    return (answer, error), {
        "function": (function, function.dark_launch),
        "coroutine": (coroutine, coroutine.dark_launch),
        "generator": (generator, generator.dark_launch),
        "async generator": (async_generator, async_generator.dark_launch),
        "method": (owner.method, Owner.method.dark_launch),
        "classmethod": (Owner.above_class, Owner.above_class.dark_launch),
        "staticmethod": (owner.static, owner.static.dark_launch),
        "staticmethod above": (owner.above_static, owner.above_static.dark_launch),
    }


def _value(answer):
    return answer.value if isinstance(answer, Answer) else answer


async def _first(iterator):
    return [item async for item in iterator]


def _run(kind, call, box):
    """What a caller of this kind sees: the items or the value."""
    if kind == "coroutine":
        return call(box)
    if kind == "async generator":
        return _first(call(box))
    if kind == "generator":
        return list(call(box))
    return call(box)


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "raises"])
@pytest.mark.parametrize("executor", ["inline", "thread", "auto"])
@pytest.mark.parametrize("name", MISBEHAVIOURS)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_the_caller_gets_the_controls_own_answer(name, executor, fails, flags, engine):
    """Identity of result and exception, for each misbehaviour, kind of callable and executor; and every call has one outcome."""
    (answer, error), shapes = _shapes(MISBEHAVIOURS[name], executor, flags, fails)

    async def everything():
        for kind, (call, experiment) in shapes.items():
            box = ["caller's"]
            try:
                got = _run(kind, call, box)
                if asyncio.iscoroutine(got):
                    got = await got
            except LookupError as raised:
                assert raised is error, kind  # noqa: PT017 - raised or not is what is asked
            else:
                assert not fails, kind
                assert (got[0] if isinstance(got, list) else got) is answer, kind
            assert box == ["caller's"], kind
            assert await experiment.adrain(), kind
            stats = experiment.stats()
            assert stats.calls == 1 == sum(stats.outcomes.values()), (kind, stats)
            ran = stats.outcomes["shed"] == 0
            assert ran or name in {"returns coroutine"} or set(stats.shed) <= {"isolation"}, (kind, stats)

    asyncio.run(everything())


def test_the_control_runs_in_the_callers_thread_and_the_candidate_does_not(flags, engine):
    threads = {}

    def candidate():
        threads["candidate"] = threading.current_thread()

    @dark_launch("on", candidate=candidate, flags=flags)
    def control():
        threads["control"] = threading.current_thread()

    control()

    assert control.dark_launch.drain()
    assert threads["control"] is threading.current_thread()
    assert threads["candidate"].daemon
    assert threads["candidate"] is not threading.current_thread()


def test_an_exception_keeps_its_cause_context_and_traceback(flags, engine):
    """What a debugger shows of the control's failure is what it would show without us."""

    @dark_launch("on", candidate=lambda: 1 / 0, flags=flags, executor="inline")
    def control():
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("outer") from error

    with pytest.raises(ValueError, match="outer") as caught:
        control()

    assert isinstance(caught.value.__cause__, KeyError)
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.traceback[-1].name == "control"


def test_a_candidate_sees_the_arguments_as_they_were_before_the_control(flags, engine):
    seen = []

    @dark_launch("on", candidate=lambda box: seen.append(list(box)), flags=flags)
    def control(box):
        box.append("control")

    box = ["before"]
    control(box)

    assert control.dark_launch.drain()
    assert seen == [["before"]]
    assert box == ["before", "control"]


def test_a_result_edited_by_its_caller_is_no_mismatch(flags, engine):
    """The control's answer is the caller's to edit, at once, while the comparison is still to come."""

    @dark_launch("on", candidate=lambda: {"items": list(range(500))}, flags=flags)
    def control():
        return {"items": list(range(500))}

    for _ in range(100):
        control()["items"].clear()

    assert control.dark_launch.drain()
    assert control.dark_launch.stats().outcomes["match"] == 100


def test_cancelling_the_caller_cancels_the_control_and_nothing_swallows_it(flags, engine):
    """At every point of the call: before, while and after the candidate runs."""
    begun = {}

    async def candidate():
        begun["either"].set()
        begun["candidate"].set()
        await begun["over"].wait()

    @dark_launch("on", candidate=candidate, flags=flags, executor="inline")
    async def control():
        begun["either"].set()
        await asyncio.sleep(0.01)

    async def cancelled(when):
        begun.update({name: asyncio.Event() for name in ("either", "candidate")})
        task = asyncio.create_task(control())
        await (begun[when].wait() if when else asyncio.sleep(0))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    async def main():
        begun["over"] = asyncio.Event()
        swallowed = [await cancelled(when) for when in ("", "either", "candidate")]
        begun["over"].set()
        return swallowed, await control.dark_launch.adrain()

    swallowed, drained = asyncio.run(main())
    assert swallowed == [True, True, True]
    assert drained
    stats = control.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()) == 3


def test_a_candidates_own_cancellation_is_its_failure_not_the_callers(flags, engine):
    async def candidate():
        raise asyncio.CancelledError

    @dark_launch("on", candidate=candidate, flags=flags)
    async def control():
        return 1

    async def main():
        assert await control() == 1
        assert await control.dark_launch.adrain()

    asyncio.run(main())
    assert control.dark_launch.stats().outcomes["candidate_error"] == 1


def test_a_real_interrupt_during_an_inline_candidate_reaches_the_caller(flags, engine):
    """Ctrl-C is the user's. Only a KeyboardInterrupt the candidate raises by itself is its failure."""
    import os
    import signal

    def candidate():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):
            time.sleep(0.0001)

    @dark_launch("on", candidate=candidate, flags=flags, executor="inline")
    def control():
        return 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            control()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_task_group_of_the_callers_is_not_hurt_by_a_failing_shadow(flags, engine):
    async def candidate():
        raise RuntimeError("shadow")

    @dark_launch("on", candidate=candidate, flags=flags)
    async def control():
        return 1

    async def main():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(control())
        assert await control.dark_launch.adrain()
        return task.result()

    assert asyncio.run(main()) == 1


def test_hooks_that_fail_cost_a_shadow_and_nothing_else(flags, engine):
    """key, run_if, compare, ignore_if, reduce, guards, record, isolate: none of them can reach the caller."""

    def broken(*_, **__):
        raise SystemExit("hook")

    for hook in ("key", "run_if", "compare", "ignore_if", "reduce", "record", "isolate", "compare_errors"):

        @dark_launch("half" if hook == "key" else "on", candidate=lambda box: 2, flags=flags, executor="inline", **{hook: broken})
        def control(box):
            return 1

        assert control([]) == 1, hook
        stats = control.dark_launch.stats()
        assert stats.calls == 1 == sum(stats.outcomes.values()), (hook, stats)

    @dark_launch("on", candidate=lambda: 2, flags=flags, executor="inline", guards=[broken])
    def guarded():
        return 1

    assert guarded() == 1


def test_a_guard_that_fails_around_a_coroutine_is_told_and_counted(flags, engine, caplog):
    def broken(_):
        raise RuntimeError("no database")

    async def answer():
        return 1

    guarded = dark_launch("on", candidate=answer, flags=flags, guards=[broken])(answer)

    async def main():
        assert await guarded() == 1
        assert await guarded.dark_launch.adrain()

    asyncio.run(main())
    assert guarded.dark_launch.stats().outcomes["compare_error"] == 1
    assert "RuntimeError" in caplog.text


def test_ctrl_c_during_a_coroutine_candidate_is_the_users(flags, engine):
    async def candidate():
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)

    async def control():
        return 1

    shadowed = dark_launch("on", candidate=candidate, flags=flags)(control)

    async def main():
        await shadowed()
        await asyncio.sleep(60)

    loop = asyncio.new_event_loop()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    stats = shadowed.dark_launch.stats()
    assert stats.calls == 1 == stats.outcomes["cancelled_shutdown"]


def test_shadows_never_shadow(flags, engine):
    """A candidate that calls the decorated function calls the control, once, and counts nothing."""
    runs = []

    def candidate(n):
        runs.append(n)
        return control(n)

    @dark_launch("on", candidate=candidate, flags=flags)
    def control(n):
        return n

    assert control(3) == 3
    assert control.dark_launch.drain()
    assert runs == [3]
    assert control.dark_launch.stats().calls == 1
    assert control.dark_launch.stats().outcomes[Outcome.MATCH] == 1


def test_raise_on_mismatch_gives_the_test_an_exception(flags, engine):
    from progflags.darklaunch import DarkLaunchMismatch

    @dark_launch("on", candidate=lambda: {"total": 2}, flags=flags, raise_on_mismatch=True)
    def control():
        return {"total": 1}

    with pytest.raises(DarkLaunchMismatch, match=r"\$\.total") as caught:
        control()

    assert caught.value.differences[0].candidate == 2
    assert control.dark_launch.stats().outcomes["mismatch"] == 1


@pytest.mark.parametrize(
    "launch", [lambda **options: dark_launch("on", candidate=len, **options), partial(DarkLaunchMiddleware, len, flag="on", candidate=len)]
)
def test_an_option_nobody_knows_is_refused_when_decorated(launch):
    """`sampel=0.01` would otherwise shadow every call."""
    with pytest.raises(TypeError, match=r"no option 'sampel'. did you mean 'sample'\?"):
        launch(sampel=0.01)
    with pytest.raises(TypeError, match="no option 'zzz'"):
        launch(zzz=1)
