"""Which function the candidate is: a callable, a method by name, or the same function with a flag forced."""

import asyncio
import functools
import threading

import pytest

from progflags.darklaunch import dark_launch
from progflags.flags import force


def told(experiment):
    assert experiment.drain()
    stats = experiment.stats()
    assert stats.calls == sum(stats.outcomes.values())
    return {name: count for name, count in stats.outcomes.items() if count}


def owner(flags):
    class Shop:
        rate = 2

        @dark_launch("on", candidate="price_v2", flags=flags)
        def price(self, n):
            return n * self.rate

        def price_v2(self, n):
            return n * self.rate

        @dark_launch("on", candidate=lambda self, n: n + self.rate, flags=flags)
        def add(self, n):
            return n + self.rate

        @dark_launch("on", candidate="of_class_v2", flags=flags)
        @classmethod
        def of_class(cls, n):
            return n * cls.rate

        @classmethod
        def of_class_v2(cls, n):
            return n * cls.rate

        @staticmethod
        def free_v2(n):
            return n

        @dark_launch("on", candidate=free_v2, flags=flags)
        @staticmethod
        def free(n):
            return n

    return Shop


def test_methods_share_their_object_and_a_name_is_found_on_it_at_each_call(flags, engine):
    Shop = owner(flags)

    class Sale(Shop):
        def price_v2(self, n):
            return 0

    for shop, price in ((Shop(), "match"), (Sale(), "mismatch")):
        assert (shop.price(3), shop.add(3), shop.of_class(3), shop.free(3)) == (6, 5, 6, 3)
        assert told(Shop.price.dark_launch)[price] == 1
    assert told(Shop.add.dark_launch) == {"match": 2}
    assert told(Shop.of_class.dark_launch) == {"match": 2}
    assert told(Shop.free.dark_launch) == {"match": 2}
    assert Shop().price.dark_launch is Shop.price.dark_launch


def test_a_name_that_is_not_there_costs_the_shadow(flags, engine):
    class Shop:
        @dark_launch("on", candidate="missing", flags=flags)
        def price(self):
            return 1

    assert Shop().price() == 1
    assert Shop.price.dark_launch.stats().shed == {"hook": 1}


@pytest.mark.parametrize(
    "candidate", [functools.partial(max, 0), abs, type("C", (), {"__call__": lambda self, n: n})()], ids=["partial", "builtin", "object"]
)
def test_anything_callable_may_be_a_candidate(candidate, flags, engine):
    function = dark_launch("on", candidate=candidate, flags=flags)(lambda n: n)

    assert function(3) == 3
    assert told(function.dark_launch) == {"match": 1}


def test_every_kind_of_function_can_be_run_again_with_a_flag_forced(flags, engine):
    """And nobody else sees the forced variant, before, while or after."""

    def ask():
        return flags.is_enabled("variant", "user")

    launch = dark_launch("on", candidate=force("variant", "on"), flags=flags, executor="inline")

    @launch
    def function():
        return ask()

    async def coroutine():
        await asyncio.sleep(0)
        return ask()

    def generator():
        yield ask()
        yield ask()

    async def async_generator():
        yield ask()

    makers = [dark_launch("on", candidate=force("variant", "on"), flags=flags, executor=executor) for executor in ("inline", "auto")]
    for make in makers:
        of_coroutine, of_generator, of_async = make(coroutine), None, None
        of_generator = dark_launch("on", candidate=force("variant", "on"), flags=flags)(generator)
        of_async = dark_launch("on", candidate=force("variant", "on"), flags=flags)(async_generator)

        async def main(of_coroutine=of_coroutine, of_async=of_async):
            assert await of_coroutine() is False
            assert [item async for item in of_async()] == [False]
            assert await of_coroutine.dark_launch.adrain()
            assert await of_async.dark_launch.adrain()

        asyncio.run(main())
        assert list(of_generator()) == [False, False]
        assert of_coroutine.dark_launch.stats().mismatches == {"$": 1}
        assert told(of_generator.dark_launch) == told(of_async.dark_launch) == {"mismatch": 1}
    assert function() is False
    assert ask() is False
    assert flags._overriding.active == 0


def test_generators_pass_what_is_sent_thrown_and_returned(flags, engine):
    def control():
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "caught"
        return "end"

    function = dark_launch("on", candidate=control, flags=flags)(control)
    generator = function()
    assert next(generator) == 1
    assert generator.send("x") == "x"
    assert generator.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "end"
    assert told(function.dark_launch) == {"incomplete": 1}


def test_a_generator_left_early_is_compared_as_far_as_it_was_read(flags, engine):
    drawn = []

    def candidate():
        for n in range(100):
            drawn.append(n)
            yield n if n < 3 else -1

    def control():
        yield from range(100)

    function = dark_launch("on", candidate=candidate, flags=flags)(control)
    for item in function():
        if item == 2:
            break

    assert told(function.dark_launch) == {"match": 1}
    assert drawn == [0, 1, 2]


@pytest.mark.parametrize("hook", ["reduce", "isolate"])
@pytest.mark.parametrize("executor", ["auto", "inline"])
def test_a_hook_that_fails_does_not_reach_who_draws_from_a_generator(flags, engine, hook, executor):
    def broken(_):
        raise SystemExit("hook")

    def control():
        yield [1]
        yield [2]
        return "end"

    async def of_async():
        yield [1]
        yield [2]

    async def drawn(function):
        return [item async for item in function()]

    function = dark_launch("on", candidate=control, flags=flags, executor=executor, **{hook: broken})(control)
    asynchronous = dark_launch("on", candidate=of_async, flags=flags, executor=executor, **{hook: broken})(of_async)

    assert list(function()) == [[1], [2]]
    assert asyncio.run(drawn(asynchronous)) == [[1], [2]]
    for each in (function, asynchronous):
        assert told(each.dark_launch) == {"shed": 1}
        assert each.dark_launch.stats().shed == {"hook": 1}


@pytest.mark.parametrize("executor", ["auto", "inline"])
def test_reduce_is_asked_about_each_item_and_the_return_value_of_both_generators(flags, engine, executor):
    class Row:
        def __init__(self, n):
            self.n = n
            self.lock = threading.Lock()

    def made(*numbers):
        def control():
            for n in numbers[:-1]:
                yield Row(n)
            return Row(numbers[-1])

        return control

    def launched(candidate):
        return dark_launch("on", candidate=candidate, flags=flags, executor=executor, reduce=lambda row: row.n)(made(1, 2, 3))

    same, item, returned = launched(made(1, 2, 3)), launched(made(1, 7, 3)), launched(made(1, 2, 7))
    for function in (same, item, returned):
        assert [row.n for row in function()] == [1, 2]

    assert told(same.dark_launch) == {"match": 1}
    assert told(item.dark_launch) == told(returned.dark_launch) == {"mismatch": 1}
    assert item.dark_launch.stats().mismatches == {"$[*]": 1}
    assert returned.dark_launch.stats().mismatches == {"$[*].value": 1}


@pytest.mark.parametrize("executor", ["auto", "inline"])
def test_what_was_yielded_is_compared_as_it_was_when_it_was_yielded(flags, engine, executor):
    def control():
        yield {"n": 1}
        yield {"n": 2}

    function = dark_launch("on", candidate=control, flags=flags, executor=executor)(control)
    for item in function():
        item.clear()

    assert told(function.dark_launch) == {"match": 1}


def test_a_generator_of_more_text_than_may_wait_is_left_out(flags, engine):
    def control():
        for _ in range(9):
            yield b"x" * (1 << 20)

    function = dark_launch("on", candidate=control, flags=flags)(control)

    assert sum(map(len, function())) == 9 << 20
    assert function.dark_launch.drain()
    assert function.dark_launch.stats().shed == {"result_isolation": 1}


def test_a_generator_that_is_never_asked_is_no_call(flags, engine):
    function = dark_launch("on", candidate=lambda: iter([]), flags=flags)(lambda: None)

    @dark_launch("on", candidate=lambda: iter([]), flags=flags)
    def control():
        yield 1

    control()
    assert control.dark_launch.stats().calls == 0
    assert function() is None


def test_a_return_value_counts_as_one_more_item(flags, engine):
    def control():
        yield 1
        return "a"

    def candidate():
        yield 1
        return "b"

    function = dark_launch("on", candidate=candidate, flags=flags)(control)
    assert list(function()) == [1]
    assert told(function.dark_launch) == {"mismatch": 1}
    assert function.dark_launch.stats().mismatches == {"$[*].value": 1}
