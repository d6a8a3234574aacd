"""@progressive: the share gets the candidate, and both arms are counted."""

from __future__ import annotations

import asyncio

import pytest

from progflags.context import Context, bind
from progflags.flags import set_default
from progflags.rollout import progressive

from .conftest import FLAG, House


@pytest.fixture
def house():
    house = House()
    house.rollouts.start(FLAG)
    house.rollouts.promote(FLAG)  # half of everybody
    return house


def counts(house):
    read = house.recorder.read(FLAG)
    return {arm: (read[arm]["requests"], read[arm]["errors"]) for arm in ("control", "candidate")}


def test_each_caller_gets_their_arm_and_both_are_counted(house):
    @progressive(FLAG, candidate=lambda user: "new", flags=house.client, key=lambda user: user)
    def checkout(user):
        return "old"

    served = [checkout(f"user-{n}") for n in range(200)]
    expected = ["new" if house.client.is_enabled(FLAG, f"user-{n}") else "old" for n in range(200)]

    assert served == expected
    assert counts(house) == {"control": (served.count("old"), 0), "candidate": (served.count("new"), 0)}


def test_without_a_key_or_a_context_the_control_runs_uncounted(house):
    @progressive(FLAG, candidate=lambda: "new", flags=house.client)
    def checkout():
        return "old"

    assert {checkout() for _ in range(50)} == {"old"}
    assert counts(house) == {"control": (0, 0), "candidate": (0, 0)}


def test_the_bound_context_is_who_asks(house):
    @progressive(FLAG, candidate=lambda: "new", flags=house.client)
    def checkout():
        return "old"

    for n in range(50):
        with bind(Context(f"user-{n}")):
            assert (checkout() == "new") is house.client.is_enabled(FLAG)


def test_an_exception_goes_to_the_caller_and_counts_against_its_arm(house):
    def broken(user):
        raise ZeroDivisionError(user)

    @progressive(FLAG, candidate=broken, flags=house.client, key=lambda user: user)
    def checkout(user):
        return "old"

    raised = 0
    for n in range(15):
        try:
            checkout(f"user-{n}")
        except ZeroDivisionError:
            raised += 1

    assert raised
    assert counts(house) == {"control": (15 - raised, 0), "candidate": (raised, raised)}


def test_a_request_counted_as_a_whole_is_not_counted_twice(house):
    """The call notes its exposure in a scope of its own; what else the body evaluates belongs to the request."""
    seen = []

    @progressive(FLAG, candidate=lambda: seen.append(1), flags=house.client)
    def checkout():
        seen.append(0)

    with bind("user-1", fresh=True) as request:
        checkout()

    assert request.exposures == {}
    assert sum(n for n, _ in counts(house).values()) == 1


def test_nothing_counts_in_a_silent_scope(house):
    @progressive(FLAG, candidate=lambda: "new", flags=house.client)
    def checkout():
        return "old"

    with bind("user-1", silent=True):
        checkout()

    assert counts(house) == {"control": (0, 0), "candidate": (0, 0)}


def test_an_override_decides_and_counts_nothing(house):
    @progressive(FLAG, candidate=lambda user: "new", flags=house.client, key=lambda user: user)
    def checkout(user):
        return "old"

    with house.client.override({FLAG: True}):
        assert {checkout(f"user-{n}") for n in range(20)} == {"new"}
    house.rollouts.kill(FLAG)
    assert {checkout(f"user-{n}") for n in range(20)} == {"old"}
    assert counts(house) == {"control": (0, 0), "candidate": (0, 0)}


async def test_coroutines_are_routed_and_cancellation_is_no_error(house):
    async def slow(user):
        await asyncio.sleep(30)

    @progressive(FLAG, candidate=slow, flags=house.client, key=lambda user: user)
    async def checkout(user):
        await asyncio.sleep(30)

    task = asyncio.ensure_future(checkout("user-1"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert counts(house) == {"control": (0, 0), "candidate": (0, 0)}


async def test_a_coroutine_answers_and_is_counted(house):
    async def new(user):
        return "new"

    @progressive(FLAG, candidate=new, flags=house.client, key=lambda user: user)
    async def checkout(user):
        return "old"

    served = await asyncio.gather(*(checkout(f"user-{n}") for n in range(100)))

    assert set(served) == {"old", "new"}
    assert sum(n for n, _ in counts(house).values()) == 100


def test_methods_static_methods_and_class_methods(house):
    class Shop:
        def __init__(self, name):
            self.name = name

        def v2(self, user):
            return f"{self.name} new"

        @progressive(FLAG, candidate=v2, flags=house.client, key=lambda self, user: user)
        def checkout(self, user):
            return f"{self.name} old"

        @progressive(FLAG, candidate=lambda user: "new", flags=house.client, key=lambda user: user)
        @staticmethod
        def static(user):
            return "old"

        @progressive(FLAG, candidate=lambda cls, user: f"{cls.__name__} new", flags=house.client, key=lambda cls, user: user)
        @classmethod
        def of(cls, user):
            return f"{cls.__name__} old"

    users = [f"user-{n}" for n in range(30)]
    assert {Shop("a").checkout(user) for user in users} == {"a old", "a new"}
    assert {Shop.static(user) for user in users} == {"old", "new"}
    assert {Shop.of(user) for user in users} == {"Shop old", "Shop new"}


def test_the_default_client_is_looked_up_at_the_call(house):
    @progressive(FLAG, candidate=lambda user: "new", key=lambda user: user)
    def checkout(user):
        return "old"

    assert {checkout(f"user-{n}") for n in range(20)} == {"old"}
    set_default(house.client)
    try:
        assert {checkout(f"user-{n}") for n in range(20)} == {"old", "new"}
    finally:
        set_default(None)


def test_a_key_that_raises_costs_the_caller_nothing(house):
    @progressive(FLAG, candidate=lambda user: "new", flags=house.client, key=lambda user: user.no_such_thing)
    def checkout(user):
        return "old"

    assert checkout("user-1") == "old"


def test_an_unknown_flag_runs_the_control(house):
    @progressive("nobody-knows", candidate=lambda user: "new", flags=house.client, key=lambda user: user)
    def checkout(user):
        return "old"

    assert checkout("user-1") == "old"


def test_what_cannot_work_is_refused_when_decorated(house):
    async def coroutine():
        return 1

    def generator():
        yield 1

    with pytest.raises(TypeError, match="candidate cannot be a coroutine"):
        progressive(FLAG, candidate=coroutine, flags=house.client)(lambda: 1)
    with pytest.raises(TypeError, match="generator"):
        progressive(FLAG, candidate=generator, flags=house.client)(generator)
    with pytest.raises(TypeError, match="generator"):
        progressive(FLAG, candidate=generator, flags=house.client)(lambda: [1])
    with pytest.raises(TypeError, match="key is asked in the call"):
        progressive(FLAG, candidate=lambda: 1, flags=house.client, key=coroutine)(lambda: 2)


async def test_a_coroutine_behind_a_plain_decorator_is_counted_when_it_is_done(house):
    """Most decorators make a plain function of an `async def`; the candidate's failures must count all the same."""

    def traced(function):
        return lambda *args: function(*args)

    async def broken(user):
        await asyncio.sleep(0)
        raise ValueError(user)

    @progressive(FLAG, candidate=traced(broken), flags=house.client, key=lambda user: user)
    @traced
    async def checkout(user):
        await asyncio.sleep(0)
        return "old"

    served = await asyncio.gather(*(checkout(f"user-{n}") for n in range(100)), return_exceptions=True)
    failed = sum(isinstance(answer, ValueError) for answer in served)

    assert 0 < failed < 100
    assert counts(house) == {"control": (100 - failed, 0), "candidate": (failed, failed)}


async def test_a_cancelled_coroutine_behind_a_plain_decorator_is_no_error(house):
    async def waits(user):
        await asyncio.Event().wait()

    checkout = progressive(FLAG, candidate=lambda user: waits(user), flags=house.client, key=lambda user: user)(lambda user: waits(user))
    tasks = [asyncio.ensure_future(checkout(f"user-{n}")) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(error, asyncio.CancelledError) for error in ended)
    assert counts(house) == {"control": (0, 0), "candidate": (0, 0)}


def test_the_wrapped_function_keeps_its_name_and_signature(house):
    import inspect

    @progressive(FLAG, candidate=lambda user, *, deep=False: 1, flags=house.client)
    def checkout(user: str, *, deep: bool = False) -> int:
        """Checks out."""
        return 0

    assert (checkout.__name__, checkout.__doc__) == ("checkout", "Checks out.")
    assert list(inspect.signature(checkout).parameters) == ["user", "deep"]


def test_failing_calls_pull_the_brake(house):
    """The whole way: decorator, bus, recorder, brake, pin."""

    def broken(user):
        raise RuntimeError("boom")

    @progressive(FLAG, candidate=broken, flags=house.client, key=lambda user: user)
    def checkout(user):
        return "old"

    failed = 0
    for n in range(500):
        try:
            checkout(f"user-{n}")
        except RuntimeError:
            failed += 1

    assert failed == 20
    assert house.exposed() == 0
