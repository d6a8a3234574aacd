"""Changes while a client serves: what a small one gives is what a fresh client would have, and it reaches only what it is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.context import Context
from progflags.events import Bus, Exposed
from progflags.flags import Client, Flag, Live, kill, parse
from progflags.testing import ManualClock
from support.sizes import size

KEYS = [f"f{number}" for number in range(8)]
WHO = [Context(f"user-{number}", {"plan": "pro" if number % 2 else "free"}) for number in range(6)]


def flag_of(draw: Any, number: int) -> dict[str, Any]:
    """One of the shapes a flag has; prerequisites name earlier flags, so there are no circles."""
    kind = draw(st.sampled_from(["plain", "share", "rule", "text", "rollout"]))
    body: dict[str, Any] = {
        "plain": {"default": draw(st.sampled_from(["on", "off"]))},
        "share": {"percent": draw(st.sampled_from([0, 30, 70, 100]))},
        "rule": {"rules": [{"when": 'plan == "pro"', "percent": draw(st.sampled_from([50, 100]))}]},
        "text": {"variants": {"a": "A", "b": "B"}, "default": "a", "safe": "b", "split": {"a": 1, "b": draw(st.integers(1, 3))}},
        "rollout": {"rollout": {}},
    }[kind]
    if number and draw(st.booleans()):
        body["requires"] = [{"flag": draw(st.sampled_from(KEYS[:number])), "is": True}]
    return body


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    """A few flags; some requirements name a variant their flag does not have, so some flags are rejected."""
    chosen = draw(st.sets(st.sampled_from(range(len(KEYS))), min_size=1))
    return {"flags": {KEYS[number]: flag_of(draw, number) for number in sorted(chosen)}}


def answers(client: Client) -> dict[str, Any]:
    """Everything it says to everybody, by every way of asking."""
    said: dict[str, Any] = {}
    for who in WHO:
        for key in KEYS:
            asked = client.evaluate(key, None, who)
            said[f"{who.key} {key}"] = (
                (asked.value, asked.variant, asked.reason, asked.error_code, asked.revision),
                client.is_enabled(key, who),
                client.get(key, "none", who),
                client.explain(key, who).evaluation.value,
            )
    return said


CHANGES = st.one_of(
    st.tuples(st.just("definitions"), documents()),
    st.tuples(st.just("share"), st.sampled_from(KEYS), st.sampled_from([None, 0, 250_000, 1_000_000])),
    st.tuples(st.just("kill"), st.sampled_from(KEYS), st.booleans()),
    st.tuples(st.just("forget"), st.sampled_from(KEYS)),
    st.tuples(st.just("pin"), st.sampled_from(KEYS), st.integers(0, 6)),
    st.tuples(st.just("unpin"), st.sampled_from(KEYS)),
    st.tuples(st.just("panic"), st.booleans()),
    st.tuples(st.just("ask")),
)


@settings(max_examples=size(120, full=1000))
@given(documents(), st.lists(CHANGES, max_size=12))
@pytest.mark.sized
def test_any_sequence_of_changes_ends_where_a_fresh_client_would_be(first: dict[str, Any], changes: list[Any]) -> None:
    """Shares, kills, pins, panic and reloads in any order: the same answers, and no flag compiled with somebody's past."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse(first))
    lives: dict[str, Live] = {}
    pins: dict[str, int] = {}
    panic, revision = False, 0
    for name, *with_ in changes:
        revision += 1
        if name == "definitions":
            client.install(parse(with_[0], previous=client.definitions))
        elif name == "panic":
            panic = with_[0]
            client.panic(panic)
        elif name == "pin":
            client.pin(*with_)
            pins[with_[0]] = with_[1]
        elif name == "unpin":
            client.unpin(*with_)
            pins.pop(with_[0], None)
        elif name == "ask":
            answers(client)  # what was asked for has functions that outlive the next change
        else:
            key = with_[0]
            live = lives.pop(key, Live(key))
            if name == "share":
                lives[key] = Live(key, revision, with_[1], live.killed)
            elif name == "kill":
                lives[key] = kill(Live(key, revision, live.share)) if with_[1] else Live(key, revision, live.share)
            client.install(live=lives)
            pins = {one: at for one, at in pins.items() if lives.get(one, Live(one)).revision <= at}

    fresh = Client(bus=Bus(), clock=ManualClock())
    fresh.install(client.definitions, lives)
    for key, at in pins.items():
        fresh.pin(key, at)
    fresh.panic(panic)
    assert answers(client) == answers(fresh)
    compiled = client._base.compiled
    assert compiled.keys() == fresh._base.compiled.keys()
    assert client._base.dependents == fresh._base.dependents
    for one in compiled.values():
        assert all(other is compiled[key] for key, other in one.others.items())


def test_a_live_change_compiles_its_flag_and_those_that_require_it() -> None:
    """Of a thousand flags, three; functions that were asked for stay for the rest."""
    flags: dict[str, Any] = {f"flag-{number}": {"percent": 50} for number in range(1000)}
    flags |= {"base": {"rollout": {}}, "top": {"requires": [{"flag": "base"}]}, "tip": {"requires": [{"flag": "top"}]}}
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": flags}))
    client.evaluate_all("u")
    assert client.is_enabled("flag-7", "u") in {True, False}
    before = client._base

    assert client.install(live={"base": Live("base", 1, 500_000)}) == ("base",)
    after = client._base
    assert {key for key, one in after.compiled.items() if one is not before.compiled[key]} == {"base", "top", "tip"}
    assert after.on["flag-7"] is before.on["flag-7"]
    assert client.install(live={"base": Live("base", 1, 500_000)}) == ()
    assert client._base.compiled == after.compiled


def test_an_override_compiles_what_it_pins() -> None:
    """In a thousand flags, too."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"a": {}, "b": {"requires": [{"flag": "a"}], "percent": 100}, **{f"f{n}": {} for n in range(100)}}}))
    base = client._base
    with client.override({"a": "on"}):
        assert client.is_enabled("b", "u")
        over = client._now()
        assert {key for key, one in over.compiled.items() if one is not base.compiled[key]} == {"a", "b"}
    assert not client.is_enabled("b", "u")


@pytest.mark.parametrize(
    ("before", "after", "who", "was", "is_"),
    [
        ({"variants": {"v": {"k": 1}}}, {"variants": {"v": {"k": True}}}, {}, {"k": 1}, {"k": True}),
        ({"variants": {"v": [1]}}, {"variants": {"v": [1.0]}}, {}, [1], [1.0]),
        ({"variants": {"v": 1}}, {"variants": {"v": 1.0}}, {}, 1, 1.0),
        ({"rules": [{"when": "x == 1"}]}, {"rules": [{"when": "x == true"}]}, {"x": True}, False, True),
        ({"rules": [{"when": "x in [1]"}]}, {"rules": [{"when": "x in [true]"}]}, {"x": True}, False, True),
        ({"rules": [{"when": "x in [1, 2]"}]}, {"rules": [{"when": "x in [1, 2.5]"}]}, {"x": 2.5}, False, True),
    ],
)
def test_a_change_that_python_takes_for_none_is_one(before: Any, after: Any, who: Any, was: Any, is_: Any) -> None:
    """1 is neither true nor 1.0, in a value and in a condition."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": before, "other": {}}}))
    context = Context("u", who)
    assert repr(client.evaluate("f", None, context).value) == repr(was)

    assert client.install(parse({"flags": {"f": after, "other": {}}}, previous=client.definitions)) == ("f",)
    assert repr(client.evaluate("f", None, context).value) == repr(is_)


def test_an_unchanged_flag_stays_one_object_from_reload_to_reload() -> None:
    """So a reload of 10,000 flags leaves no garbage but what changed; a rollout knows the lines of the document it is in."""
    first = parse({"flags": {"a": {"percent": 10}, "b": {"percent": 10}, "r": {"rollout": {}}}})
    document = {"flags": {"b": {"percent": 20}, "r": {"rollout": {}}, "a": {"percent": 10}}}
    second = parse(document, previous=first, lines=lambda _: 7)
    assert second.flags["a"] is first.flags["a"]
    assert second.flags["b"] is not first.flags["b"]
    assert list(second.flags) == ["b", "r", "a"]
    assert second.flags["r"].rollout is not None
    assert second.flags["r"].rollout.problem("stages", "").line == 7


def test_who_cannot_be_given_a_typed_flags_value_is_counted_once_and_meets_no_arm() -> None:
    """As `get` does it: the caller's default, one ERROR, no exposure; the others are served and counted as ever."""
    client = Client(bus=Bus(), clock=ManualClock())
    flags = {"f": {"variants": {"old": 1, "new": 2.5}, "default": "old", "rollout": {}}}
    client.install(parse({"flags": flags}), {"f": Live("f", 1, 1_000_000, counting=True)})
    heard: list[Exposed] = []
    client.bus.listen(Exposed, heard.append)

    answer = client.evaluate(Flag("f", default=7), context="u")
    assert (answer.value, answer.error_code) == (7, "TYPE_MISMATCH")
    assert client.counts() == {("f", None, "ERROR"): 1}
    assert heard == []

    client.install(live={"f": Live("f", 2, 0, counting=True)})
    assert client.evaluate(Flag("f", default=7), context="u").value == 1
    assert client.counts() == {("f", None, "ERROR"): 1, ("f", "old", "STATIC"): 1}
    assert [one.exposure.arm for one in heard] == ["control"]


def test_a_handle_follows_a_change_and_is_not_built_anew_for_anothers() -> None:
    """A hundred handles, one change: the other ninety-nine keep their functions."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {f"f{number}": {"rollout": {}} for number in range(100)}}))
    typed = [Flag(f"f{number}", default=False) for number in range(100)]
    handles = [flag.bind(client) for flag in typed]
    before = dict(client._base.typed[type])

    client.install(live={"f3": Live("f3", 1, 1_000_000)})
    after = client._base.typed[type]
    assert [flag.key for flag in typed if after[flag] is not before[flag]] == ["f3"]
    assert [handle("u") for handle in handles] == [number == 3 for number in range(100)]
