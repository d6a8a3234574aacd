"""Overrides and snapshots: scoped to a task or thread, free when unused, weaker than a kill."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from progflags.events import Bus, Exposed
from progflags.flags import Client, Flag, Killed, Live, NoDefaultError, default, force, parse, set_default
from progflags.testing import ManualClock

FLAGS: dict[str, Any] = {
    "a": {"percent": 0},
    "needs": {"percent": 100, "requires": [{"flag": "a"}]},
    "text": {"variants": {"one": "1", "two": "one", "three": "3"}, "default": "three"},
    "json": {"variants": {"s": {"k": 1}, "l": {"k": 2}}, "default": "s"},
    "exp": {"kind": "experiment", "split": {"on": 1, "off": 1}},
}


@pytest.fixture
def flags() -> Client:
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": FLAGS}))
    return client


def test_an_override_holds_inside_its_block(flags: Client) -> None:
    """By variant or by value, PINNED; nested ones add up and the inner wins; afterwards it is as before."""
    with flags.override({"a": True}):
        assert flags.evaluate("a", False, "u").reason == "PINNED"
        with flags.override({"a": "off", "json": {"k": 2}}):
            assert (flags.is_enabled("a", "u"), flags.get("json", {}, "u")) == (False, {"k": 2})
        assert (flags.is_enabled("a", "u"), flags.get("json", {}, "u")) == (True, {"k": 1})
    assert not flags.is_enabled("a", "u")


def test_a_variants_name_wins_over_an_equal_value(flags: Client) -> None:
    """`one` is a variant's name and another one's value."""
    with flags.override({"text": "one"}):
        assert flags.get("text", "", "u") == "1"


@pytest.mark.parametrize(
    ("pins", "message"), [({"b": True}, "no flag 'b'"), ({"a": "onn"}, "did you mean 'on'"), ({"a": 1}, "no variant or value 1")]
)
def test_an_override_of_nothing_is_refused(flags: Client, pins: dict[str, Any], message: str) -> None:
    """A test that pins a flag which does not exist tests nothing."""
    with pytest.raises(ValueError, match=message), flags.override(pins):
        pass


def test_an_override_reaches_the_flags_that_depend_on_it(flags: Client) -> None:
    """A prerequisite is pinned for its dependents too."""
    assert not flags.is_enabled("needs", "u")
    with flags.override({"a": True}):
        assert flags.is_enabled("needs", "u")


def test_other_threads_and_tasks_do_not_notice(flags: Client) -> None:
    """Tasks that were started inside do."""
    seen: dict[str, bool] = {}

    async def ask(name: str) -> None:
        await asyncio.sleep(0)
        seen[name] = flags.is_enabled("a", "u")

    async def main() -> None:
        outside = asyncio.create_task(ask("task outside"))
        with flags.override({"a": True}):
            inside = asyncio.create_task(ask("task inside"))
            thread = threading.Thread(target=lambda: seen.update(thread=flags.is_enabled("a", "u")))
            thread.start()
            thread.join()
            await asyncio.gather(outside, inside)

    asyncio.run(main())
    assert seen == {"task outside": False, "task inside": True, "thread": False}


def test_an_override_follows_a_reload(flags: Client) -> None:
    """The pin stays, everything else is the new definition's."""
    with flags.override({"a": True}):
        flags.install(parse({"flags": {**FLAGS, "text": {"variants": {"new": "new"}}}}))
        assert (flags.is_enabled("a", "u"), flags.get("text", "", "u")) == (True, "new")
        flags.install(live={"a": Live("a", 1, killed=Killed())})
        assert flags.evaluate("a", True, "u").reason == "DISABLED"


def test_nothing_is_left_behind(flags: Client) -> None:
    """After the last block the plain tables serve again, also when a block ends elsewhere than it began."""
    plain = flags._ruleset

    def generator() -> Any:
        with flags.override({"a": True}):
            yield

    abandoned = generator()
    contextvars.copy_context().run(next, abandoned)
    assert flags._ruleset is not plain
    assert not flags.is_enabled("a", "u")
    abandoned.close()
    assert flags._ruleset is plain


def test_every_way_of_asking_is_overridden(flags: Client) -> None:
    """Bound flags, typed flags, snapshots, evaluate_all, explain."""
    typed = Flag("a", default=False)
    bound = typed.bind(flags)
    with flags.override({"a": True}):
        answers = [bound("u"), flags.get(typed, context="u"), flags.snapshot().is_enabled("a", "u"), flags.evaluate_all("u")["a"].value]
        assert answers == [True] * 4
        assert "PINNED" in str(flags.explain("a", "u"))
    assert bound("u") is False


def test_a_forced_answer_is_no_exposure(flags: Client) -> None:
    """Or every test run and every shadow would contaminate an experiment."""
    told: list[Exposed] = []
    flags.bus.listen(Exposed, told.append)
    with flags.override({"exp": "on"}):
        flags.is_enabled("exp", "u")
    assert told == []
    flags.is_enabled("exp", "u")
    assert len(told) == 1


def test_pins_for_the_whole_process(flags: Client) -> None:
    """What fixtures use: threads see them too; a scoped override is laid over them."""
    flags.pin_everywhere({"a": True})
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(flags.is_enabled("a", "u")))
    thread.start()
    thread.join()
    with flags.override({"text": "one"}):
        assert (flags.is_enabled("a", "u"), flags.get("text", "", "u")) == (True, "1")
    with flags.override({"a": False}):
        assert not flags.is_enabled("a", "u")
    flags.pin_everywhere({})
    assert seen == [True]
    assert not flags.is_enabled("a", "u")


def test_a_snapshot_keeps_one_revision(flags: Client) -> None:
    """In its block the client itself answers from it, and other threads from the newest."""
    view = flags.snapshot()
    seen: list[bool] = []
    with view:
        flags.install(parse({"flags": {**FLAGS, "a": {"percent": 100}}}))
        assert (flags.is_enabled("a", "u"), view.is_enabled("a", "u")) == (False, False)
        assert flags.definitions is not view.definitions
        thread = threading.Thread(target=lambda: seen.append(flags.is_enabled("a", "u")))
        thread.start()
        thread.join()
        with flags.override({"text": "one"}):
            assert (flags.is_enabled("a", "u"), flags.get("text", "", "u")) == (False, "1")
    assert seen == [True]
    assert (flags.is_enabled("a", "u"), view.is_enabled("a", "u")) == (True, False)


def test_a_forced_flag_is_an_override_to_hand_around(flags: Client) -> None:
    """For code that is given one rather than a block."""
    with force("a", "on").over(flags):
        assert flags.is_enabled("a", "u")


def test_the_default_client_must_be_set(flags: Client) -> None:
    """And the error says how."""
    with pytest.raises(NoDefaultError, match="set_default"):
        default()
    set_default(flags)
    try:
        assert default() is flags
    finally:
        set_default(None)


def test_a_snapshot_entered_by_several_threads_ends_in_each_where_it_ends(flags: Client) -> None:
    """Left in another order than entered: nobody is left behind in it."""
    view = flags.snapshot()
    inside, both = threading.Event(), threading.Event()
    said: dict[str, list[bool]] = {}

    def ask() -> list[bool]:
        with flags.override({"needs": "on"}):  # an override builds on the snapshot that holds here, if one does
            return [flags.is_enabled("a", "u")]

    def first() -> None:
        with view:
            inside.set()
            both.wait(60)
            flags.install(parse({"flags": {**FLAGS, "a": {"percent": 100}}}))
            said["in"] = ask()
        said["after"] = ask()

    def second() -> None:
        inside.wait(60)
        with view:
            both.set()
            one.join(60)
            said["in too"] = ask()
        said["after too"] = ask()

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join(60)
    assert said == {"in": [False], "after": [True], "in too": [False], "after too": [True]}


def test_a_snapshot_entered_twice_by_one_task_and_by_others_meanwhile(flags: Client) -> None:
    """Nested and interleaved among tasks; each is out after its own last exit."""
    view = flags.snapshot()

    async def task(steps: int) -> list[bool]:
        said = []
        with view:
            for _ in range(steps):
                await asyncio.sleep(0)
            with view:
                said.append(flags.is_enabled("a", "u"))
            said.append(flags.is_enabled("a", "u"))
        with flags.override({}):
            said.append(flags.is_enabled("a", "u"))
        return said

    async def run() -> list[list[bool]]:
        tasks = [asyncio.create_task(task(steps)) for steps in (3, 1, 2)]
        await asyncio.sleep(0)
        flags.install(parse({"flags": {**FLAGS, "a": {"percent": 100}}}))
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [[False, False, True]] * 3
