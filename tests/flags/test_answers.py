"""What a client answers: values, reasons, error codes; and that trouble is always the caller's default."""

from __future__ import annotations

import copy
import json
import math
import pickle
import threading
import uuid
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags import _trouble
from progflags.context import Context, bind
from progflags.events import Bus, Reloaded, Tracked
from progflags.flags import Client, ErrorCode, Evaluation, Flag, Killed, Live, Reason, bucket, kill, parse, set_share, unkill
from progflags.flags._bucket import threshold
from progflags.testing import ManualClock

FLAGS: dict[str, Any] = {
    "on": {"percent": 100},
    "off": {"percent": 0},
    "plain": {},
    "half": {"percent": 50},
    "rule": {"rules": [{"when": 'plan == "pro"'}]},
    "rule-half": {"rules": [{"when": 'plan == "pro"', "percent": 50}]},
    "text": {"variants": {"classic": "c", "fast": "f"}, "default": "classic"},
    "number": {"variants": {"low": 1, "high": 2}, "default": "low"},
    "fraction": {"variants": {"low": 0.5, "high": 2}, "default": "low"},
    "limits": {"variants": {"small": {"k": 10, "tags": ["a"]}, "large": {"k": 100, "tags": []}}, "default": "small"},
    "list": {"variants": {"few": [1], "many": [1, 2]}, "default": "few"},
    "split": {"variants": {"a": "a", "b": "b", "c": "c"}, "default": "a", "split": {"a": 1, "b": 1, "c": 2}},
    "by-account": {"percent": 50, "unit": "account"},
    "rolling": {"rollout": {}},
}


def client(flags: dict[str, Any] = FLAGS, **more: Any) -> Client:
    made = Client(bus=Bus(), clock=ManualClock())
    made.install(parse({"flags": flags, **more}))
    return made


def everyone_in(share: int, people: int = 2000) -> set[str]:
    flags = client()
    flags.install(live={"rolling": Live("rolling", 1, share)})
    return {f"user-{i}" for i in range(people) if flags.is_enabled("rolling", f"user-{i}")}


# ── values and reasons ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flag", "default", "attributes", "variant", "reason"),
    [
        ("on", False, {}, "on", "STATIC"),
        ("off", True, {}, "off", "STATIC"),
        ("plain", True, {}, "off", "STATIC"),
        ("half", False, {}, "on", "SPLIT"),
        ("rule", False, {"plan": "pro"}, "on", "TARGETING_MATCH"),
        ("rule", True, {"plan": "free"}, "off", "DEFAULT"),
        ("rule", True, {}, "off", "DEFAULT"),
        ("rule-half", False, {"plan": "pro"}, "on", "SPLIT"),
        ("rule-half", False, {"plan": "free"}, "off", "DEFAULT"),
        ("text", "x", {}, "classic", "STATIC"),
        ("split", "x", {}, "b", "SPLIT"),
        ("rolling", True, {}, "off", "STATIC"),
    ],
)
def test_an_answer_has_its_reason(flag: str, default: Any, attributes: dict[str, Any], variant: str, reason: str) -> None:
    """The words of the contract, each where it belongs."""
    answer = client().evaluate(flag, default, Context("user-1", attributes))

    assert (answer.variant, answer.reason, answer.error_code) == (variant, reason, None)


def test_values_come_in_the_defaults_type() -> None:
    """An int where a float is wanted, an integral float where an int is; nothing else is converted."""
    flags = client()
    assert flags.get("number", 0) == 1
    assert isinstance(flags.get("number", 0.0), float)
    assert flags.get("fraction", 0.0) == 0.5
    assert flags.get("fraction", 7) == 7
    assert flags.get("limits", {}) == {"k": 10, "tags": ["a"]}
    assert flags.get("list", []) == [1]
    assert flags.get("text", None) == "c"
    assert flags.get("on", None) is True


@pytest.mark.parametrize(
    ("flag", "default"),
    [
        ("on", "x"),
        ("on", 1),
        ("text", False),
        ("text", 1),
        ("number", "1"),
        ("number", True),
        ("limits", []),
        ("list", {}),
        ("limits", "x"),
    ],
)
def test_another_type_is_the_callers_default(flag: str, default: Any) -> None:
    """And says TYPE_MISMATCH."""
    flags = client()
    assert flags.get(flag, default, "u") is default
    assert flags.evaluate(flag, default, "u") == Evaluation(flag, default, None, Reason.ERROR, ErrorCode.TYPE_MISMATCH)


def test_a_flag_that_is_not_boolean_is_not_enabled() -> None:
    """is_enabled answers its default."""
    assert client().is_enabled("text", "u") is False
    assert client().is_enabled("text", "u", default=True) is True


def test_before_anything_is_loaded_the_default_is_given() -> None:
    """PROVIDER_NOT_READY."""
    flags = Client(bus=Bus(), clock=ManualClock())
    assert flags.is_enabled("on", "u", default=True) is True
    assert flags.evaluate("on", False, "u").error_code == "PROVIDER_NOT_READY"
    assert flags.evaluate_all("u") == {}


def test_a_broken_flag_says_parse_error() -> None:
    """It is not unknown: its definition was rejected."""
    flags = client({"bad": {"percent": "x"}, "good": {}})
    assert flags.evaluate("bad", True, "u").error_code == "PARSE_ERROR"
    assert flags.evaluate("worse", True, "u").error_code == "FLAG_NOT_FOUND"
    assert set(flags.evaluate_all("u")) == {"bad", "good"}


@pytest.mark.parametrize("key", [None, "", "\ud800"])
def test_a_missing_key_is_nobodys_bucket(key: Any) -> None:
    """A flag that needs it gives the default; one that does not is not concerned."""
    flags = client()
    context = key if isinstance(key, str) else Context(key)
    assert flags.evaluate("half", True, context) == Evaluation("half", True, None, Reason.ERROR, ErrorCode.TARGETING_KEY_MISSING)
    assert flags.is_enabled("half", context, default=True) is True
    assert flags.is_enabled("on", context) is True


@pytest.mark.parametrize("key", [True, 1.5, b"x", object()])
def test_what_is_no_key_is_no_key(key: Any) -> None:
    """Another type is not hashed by its text."""
    assert client().evaluate("half", False, Context(key)).error_code == "TARGETING_KEY_MISSING"


def test_equal_ids_get_equal_answers_whatever_their_type() -> None:
    """int, its decimal text and a mapping; a UUID and its text."""
    flags, some = client(), uuid.UUID(int=77)
    for i in range(50):
        answers = {flags.is_enabled("half", who) for who in (i, str(i), Context(i), {"targeting_key": i}, Context(str(i)))}
        assert len(answers) == 1
    assert flags.is_enabled("half", Context(some)) == flags.is_enabled("half", str(some))


def test_a_flag_may_bucket_by_an_attribute() -> None:
    """All of an account's users get the same; without an account it is the default, with the code."""
    flags = client()
    answers = {flags.is_enabled("by-account", Context(f"user-{i}", {"account": "acme"})) for i in range(100)}
    assert len(answers) == 1
    assert flags.evaluate("by-account", False, "u").error_code == "TARGETING_KEY_MISSING"


def test_compound_and_fallback_units() -> None:
    """Several attributes make one unit; `first` takes the first that is there."""
    flags = client(
        {
            "both": {"percent": 50, "unit": ["org", "user"]},
            "either": {"percent": 50, "unit": {"first": ["user", "device", "targeting_key"]}},
        }
    )
    for i in range(50):
        wanted = bucket("r", "both", f"o{i}\x1eu{i}".encode()) < 500_000
        assert flags.is_enabled("both", Context(None, {"org": f"o{i}", "user": f"u{i}"})) == wanted
        assert flags.is_enabled("either", Context("k", {"device": f"d{i}"})) == (bucket("r", "either", f"d{i}") < 500_000)
        assert flags.is_enabled("either", Context(f"k{i}")) == (bucket("r", "either", f"k{i}") < 500_000)
    assert flags.evaluate("both", False, Context("k", {"org": "o"})).error_code == "TARGETING_KEY_MISSING"


@pytest.mark.parametrize("context", [3.5, object(), ["u"], b"u"])
def test_a_context_of_no_known_kind_is_invalid(context: Any) -> None:
    """Never an exception."""
    flags = client()
    assert flags.is_enabled("half", context, default=True) is True
    assert flags.evaluate("on", False, context).error_code == "INVALID_CONTEXT"
    assert flags.explain("on", context).evaluation.error_code == "INVALID_CONTEXT"


def test_the_ambient_context_is_used_when_none_is_given() -> None:
    """Bound by middleware, read anywhere below."""
    flags = client()
    with bind(Context("user-1", {"plan": "pro"})):
        assert flags.is_enabled("rule")
        assert not flags.is_enabled("rule", "user-1")
    assert not flags.is_enabled("rule")


class Mean(str):
    """A key that answers every question with an exception."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("mean")


class MeanValue:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("mean")

    def __hash__(self) -> int:
        raise RuntimeError("mean")


def test_no_exception_ever_reaches_the_caller() -> None:
    """Strange keys, strange contexts, attributes that raise, a used-up stack."""
    flags = client({**FLAGS, "two": {"rules": [{"when": 'plan in ["a", "b"] and app >= semver("1.0.0")', "percent": 50}]}})
    poisoned = Context("u", {"plan": MeanValue(), "app": MeanValue()})
    for flag in [*FLAGS, "two", None, 3, [], object(), Mean("on"), "\ud800"]:
        for context in ["u", None, poisoned, 3, {"targeting_key": "u", "plan": MeanValue()}, {}, Context(MeanValue())]:  # type: ignore[arg-type]
            assert flags.is_enabled(flag, context) in (True, False)  # type: ignore[arg-type]
            flags.get(flag, "d", context)  # type: ignore[arg-type, call-overload]
            assert isinstance(flags.evaluate(flag, None, context), Evaluation)  # type: ignore[arg-type]
    assert flags.evaluate("two", False, poisoned).error_code == "INVALID_CONTEXT"


def test_a_used_up_stack_is_the_default_too() -> None:
    """An evaluation goes no deeper than a few calls, and gives the default where even those do not fit."""
    flags = client()
    answers = []

    def deeper() -> None:
        try:
            deeper()
        finally:
            if len(answers) < 20:
                with suppress(RecursionError):  # the call itself did not fit: it never began
                    answers.append(flags.is_enabled("rule-half", "u"))

    with pytest.raises(RecursionError):
        deeper()
    assert set(answers) == {False}


def test_a_thousand_rules_are_no_deeper_than_one() -> None:
    """They are walked in a loop."""
    rules = [{"when": f'plan == "p{i}"', "percent": 50} for i in range(1000)]
    flags = client({"many": {"rules": [*rules, {"when": 'plan == "last"'}]}})
    assert flags.evaluate("many", False, Context("u", {"plan": "last"})).reason == "TARGETING_MATCH"
    assert flags.evaluate("many", False, Context("u", {"plan": "none"})).reason == "DEFAULT"


keys = st.sampled_from([*FLAGS, "nope"])
attributes = st.dictionaries(
    st.sampled_from(["plan", "account", "app"]), st.none() | st.integers() | st.text(max_size=4) | st.floats(), max_size=3
)


@given(keys, st.none() | st.text(max_size=4) | st.integers(), attributes, st.sampled_from([None, False, "x", 1, 1.5, {}]))
@settings(max_examples=200)
def test_all_ways_of_asking_agree(flag: str, key: Any, attributes: dict[str, Any], default: Any) -> None:
    """is_enabled, get, evaluate, a snapshot, evaluate_all, explain: one decision."""
    flags, context = SHARED, Context(key, attributes)
    answer = flags.evaluate(flag, default, context)
    assert flags.get(flag, default, context) == answer.value
    assert flags.snapshot().evaluate(flag, default, context) == answer
    explained = flags.explain(flag, context).evaluation
    assert explained.error_code == (answer.error_code if answer.error_code != "TYPE_MISMATCH" else None)
    if answer.error_code is None:
        assert (explained.variant, explained.reason) == (answer.variant, answer.reason)
        assert flags.evaluate_all(context)[flag].variant == answer.variant
    if default is False:
        assert flags.is_enabled(flag, context) == answer.value


SHARED = client()


# ── shares ─────────────────────────────────────────────────────────────────


def test_raising_a_share_moves_nobody_out() -> None:
    """Who is in at 5 % is still in at 25 %, and so on to everybody; falling back is the exact way back."""
    shares = [0, 1, 50_000, 250_000, 500_000, 999_999, 1_000_000]
    crowds = [everyone_in(share) for share in shares]

    assert all(before <= after for before, after in zip(crowds, crowds[1:], strict=False))
    assert (len(crowds[0]), len(crowds[-1])) == (0, 2000)
    assert everyone_in(250_000) == crowds[3]


@given(st.integers(1, 100), st.integers(1, 100), st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()))
def test_a_share_never_changes_a_variant(low: int, high: int, user: str) -> None:
    """Share and split are hashed apart: who is in at both shares has the same variant at both."""
    variants = []
    for percent in (low, high):
        flags = client(
            {
                "f": {
                    **FLAGS["split"],
                    "default": "a",
                    "variants": {"out": "out", "a": "a", "b": "b"},
                    "split": {"a": 1, "b": 3},
                    "percent": percent,
                }
                | {"default": "out"}
            }
        )
        variants.append(flags.get("f", "?", user))
    if "out" not in variants and "?" not in variants:
        assert variants[0] == variants[1]


def test_flags_do_not_disturb_each_other() -> None:
    """Adding a flag changes nothing for another; equal salts align two flags, on purpose."""
    alone = client({"half": {"percent": 50}})
    salted = client({"half": {"percent": 50, "salt": "s"}, "other": {"percent": 50, "salt": "s"}})
    people = [f"u{i}" for i in range(300)]
    assert [alone.is_enabled("half", p) for p in people] == [client().is_enabled("half", p) for p in people]
    assert [salted.is_enabled("half", p) for p in people] == [salted.is_enabled("other", p) for p in people]


# ── groups, holdouts, prerequisites, time ──────────────────────────────────


def test_a_unit_is_in_at_most_one_flag_of_a_group() -> None:
    """Slots are ranges of one hash; outside of it the default is served."""
    flags = client(
        {name: {"percent": 100, "group": "g"} for name in ("a", "b", "c")},
        groups={"g": {"salt": "q3", "slots": {"a": 50, "b": 30, "c": 10}}},
    )
    counts = {"a": 0, "b": 0, "c": 0, None: 0}
    for i in range(4000):
        inside = [name for name in ("a", "b", "c") if flags.is_enabled(name, f"u{i}")]
        assert len(inside) <= 1
        at = bucket("g", "q3", f"u{i}")
        assert inside == (["a"] if at < 500_000 else ["b"] if at < 800_000 else ["c"] if at < 900_000 else [])
        counts[inside[0] if inside else None] += 1
    assert all(abs(counts[name] / 4000 - share) < 0.03 for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.1), (None, 0.1)))  # type: ignore[index]


def test_a_slot_begins_and_ends_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first hash of a slot is in it, the first after it in the next one."""
    edge = threshold(500_000)
    for h, inside in ((0, "a"), (edge - 1, "a"), (edge, "b"), (2**64 - 1, "b")):
        monkeypatch.setattr("progflags.flags.serving._closures.digest", lambda unit, seed, h=h: h)
        flags = client({name: {"percent": 100, "group": "g"} for name in "ab"}, groups={"g": {"slots": {"a": 50, "b": 50}}})
        assert [name for name in "ab" if flags.is_enabled(name, "u")] == [inside]


def test_held_out_units_get_safe_everywhere() -> None:
    """The same units for every flag that names the holdout."""
    flags = client({name: {"percent": 100, "holdout": "h"} for name in ("a", "b")}, holdouts={"h": {"percent": 20}})
    for i in range(500):
        held = bucket("h", "h", f"u{i}") < 200_000
        for name in ("a", "b"):
            answer = flags.evaluate(name, False, f"u{i}")
            assert (answer.variant, answer.reason == "DISABLED") == ("off" if held else "on", held)
    three = {"variants": {"a": "a", "b": "b", "c": "c"}, "default": "a", "safe": "c", "serve": "b", "holdout": "h"}
    assert {client({"f": three}, holdouts={"h": {"percent": 50}}).get("f", "?", f"u{i}") for i in range(100)} == {"b", "c"}


def test_a_prerequisite_must_hold() -> None:
    """Else the flag is at its safe variant; a rejected prerequisite never holds."""
    document = {
        "base": {"percent": 50},
        "needs": {"percent": 100, "requires": [{"flag": "base", "is": True}]},
        "one-of": {"variants": {"x": "x", "y": "y"}, "default": "y", "safe": "x", "requires": [{"flag": "base", "is": ["off"]}]},
        "bad": {"percent": "?"},
        "on-bad": {"percent": 100, "requires": [{"flag": "bad"}]},
    }
    flags = client(document)
    for i in range(100):
        base = flags.is_enabled("base", f"u{i}")
        assert flags.is_enabled("needs", f"u{i}") == base
        assert flags.get("one-of", "?", f"u{i}") == ("x" if base else "y")
    assert flags.evaluate("on-bad", True, "u").reason == "DISABLED"


def test_a_prerequisite_is_followed_when_it_changes() -> None:
    """A kill of the one reaches the other with the same swap."""
    flags = client({"base": {"percent": 100}, "needs": {"percent": 100, "requires": [{"flag": "base"}]}})
    assert flags.is_enabled("needs", "u")
    assert flags.install(live={"base": Live("base", 1, killed=Killed("x"))}) == ("base",)
    assert not flags.is_enabled("needs", "u")


def test_asking_for_a_flag_counts_nothing_for_its_prerequisite() -> None:
    """Nobody asked for it as such."""
    flags = client({"base": {"percent": 100}, "needs": {"percent": 100, "requires": [{"flag": "base"}]}})
    flags.is_enabled("needs", "u")
    assert flags.counts() == {("needs", "on", "STATIC"): 1}


def test_rules_begin_and_end_by_the_clock() -> None:
    """Without a reload, and the same on every host."""
    clock = ManualClock()
    flags = Client(bus=Bus(), clock=clock)
    rule = {"from": "1970-01-01T01:00:00Z", "until": "1970-01-01T02:00:00Z"}
    flags.install(parse({"flags": {"sale": {"rules": [rule]}}}))
    seen = []
    for _ in range(3):
        seen.append(flags.is_enabled("sale", "u"))
        clock.advance("1h")
    assert seen == [False, True, False]
    assert "ended 1970-01-01T02:00:00" in str(flags.explain("sale", "u"))


def test_a_ramp_grows_in_a_straight_line_and_drops_nobody() -> None:
    """A quarter of the way, a quarter of the people; who is in stays in."""
    clock = ManualClock()
    flags = Client(bus=Bus(), clock=clock)
    flags.install(
        parse({"flags": {"f": {"ramp": {"from": "1970-01-01T00:00:00Z", "until": "1970-01-02T00:00:00Z", "start": 0, "end": 80}}}})
    )
    inside: set[int] = set()
    for hours in range(0, 31, 6):
        now = {i for i in range(3000) if flags.is_enabled("f", str(i))}
        assert inside <= now
        assert abs(len(now) / 3000 - 0.8 * min(hours, 24) / 24) < 0.03
        inside = now
        clock.advance("6h")


# ── live state, kill, pin, panic, staleness ────────────────────────────────


def test_a_kill_is_for_everybody_at_once() -> None:
    """Safe, DISABLED, whatever rules, shares and overrides say; unkill is the exact way back."""
    flags = client()
    before = [flags.is_enabled("half", f"u{i}") for i in range(100)]
    flags.install(live={"half": kill(Live("half", 1), reason="pages", by="ann")})
    with flags.override({"half": True}):
        assert {flags.evaluate("half", True, f"u{i}").reason for i in range(100)} == {"DISABLED"}
    assert "killed by ann: pages" in str(flags.explain("half", "u"))
    flags.install(live={"half": unkill(kill(Live("half", 2)))})
    assert [flags.is_enabled("half", f"u{i}") for i in range(100)] == before


def test_a_pin_serves_control_until_the_flag_has_moved_on() -> None:
    """Lifted by the swap that brings the newer revision, not before."""
    flags = client()
    flags.install(live={"rolling": Live("rolling", 5, 1_000_000, counting=True)})
    assert flags.is_enabled("rolling", "u")
    flags.pin("rolling", 5, "errors")
    assert flags.evaluate("rolling", False, "u") == Evaluation("rolling", False, "off", Reason.PINNED, None, 5)
    flags.install(live={"rolling": Live("rolling", 5, 1_000_000, counting=True)})
    assert not flags.is_enabled("rolling", "u")
    flags.install(live={"rolling": Live("rolling", 6, 1_000_000)})
    assert flags.is_enabled("rolling", "u")
    assert flags.pinned("rolling") is None


def test_panic_puts_every_flag_at_safe() -> None:
    """Also those loaded during it, until it ends."""
    flags = client({"a": {"percent": 100}, "b": {"variants": {"x": "x", "y": "y"}, "default": "y", "safe": "x"}})
    flags.panic()
    assert (flags.is_enabled("a", "u"), flags.get("b", "?", "u")) == (False, "x")
    flags.install(parse({"flags": {"a": {"percent": 100}, "c": {"percent": 100}}}))
    assert {answer.reason for answer in flags.evaluate_all("u").values()} == {"DISABLED"}
    flags.panic(False)
    assert flags.is_enabled("c", "u")


def test_a_stale_client_says_so() -> None:
    """The answer is the same; the reason says it is from the last known good."""
    flags = client()
    flags.set_stale(True)
    assert flags.evaluate("half", False, "user-1") == Evaluation("half", True, "on", Reason.STALE)
    flags.install(live={"half": Live("half", 1, killed=Killed())})
    assert flags.evaluate("half", False, "user-1").reason == "DISABLED"


def test_an_install_names_what_changed_and_only_that() -> None:
    """By definition or by live state; an equal document changes nothing."""
    flags = client()
    told: list[Reloaded] = []
    flags.bus.listen(Reloaded, told.append)
    assert flags.install(parse({"flags": copy.deepcopy(FLAGS)})) == ()
    assert told == []
    changed = {**FLAGS, "half": {"percent": 51}, "new": {}}
    del changed["on"]
    assert flags.install(parse({"flags": changed})) == ("half", "new", "on")
    assert flags.install(live={"rolling": Live("rolling", 1, 5)}) == ("rolling",)
    assert [event.changed for event in told] == [("half", "new", "on"), ("rolling",)]


def test_live_state_is_a_document_both_ways() -> None:
    """And refuses what is not its own."""

    class Document:
        def __init__(self, body: dict[str, Any]) -> None:
            self.key, self.revision, self.body = "flag/a", 4, body

    live = Live("a", 4, 250_000, Killed("r", "ann", 1.5), True, 2)
    assert Live.of(Document(json.loads(json.dumps(live.body())))) == live
    assert Live.of(None, "a") == Live("a")
    assert set_share(live, 0).share == 0
    with pytest.raises(ValueError, match="version 2"):
        Live.of(Document({"v": 2}))
    with pytest.raises(ValueError, match="millionths"):
        Live.of(Document({"v": 1, "share": 2_000_000}))
    with pytest.raises(ValueError, match="millionths"):
        set_share(live, -1)


# ── shared values, counts, events ──────────────────────────────────────────


def test_returned_json_can_not_be_changed_for_others() -> None:
    """Every way to edit it raises; a copy is one's own."""
    flags = client()
    value = flags.get("limits", {})
    attempts = [
        lambda: value.update(k=1), lambda: value.__setitem__("k", 1), lambda: value.pop("k"), lambda: value.clear(), lambda: value.popitem(),
        lambda: value.setdefault("z", 1), lambda: value.__delitem__("k"), lambda: value["tags"].append("x"), lambda: value["tags"].sort(),
        lambda: value["tags"].__setitem__(0, "x"), lambda: value["tags"].extend(["x"]), lambda: value["tags"].clear(), lambda: value["tags"].__iadd__(["x"]),
        lambda: value.__ior__({"k": 1}), lambda: value["tags"].insert(0, 1), lambda: value["tags"].reverse(), lambda: value["tags"].__imul__(2),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(TypeError, match="deepcopy"):
            attempt()
    own = copy.deepcopy(value)
    own["tags"].append("mine")
    (value | {"k": 1})["x"] = 2
    assert flags.get("limits", {}) == {"k": 10, "tags": ["a"]}
    assert json.loads(json.dumps(value)) == value == pickle.loads(pickle.dumps(value))


def test_every_answer_is_counted_once() -> None:
    """By flag, variant and reason; errors too, unknown flags under one name; nothing is lost by a reload."""
    flags = client()
    handle = Flag("on", default=False).bind(flags)
    for _ in range(3):
        flags.is_enabled("on", "u")
        flags.get("on", False, "u")
        flags.evaluate("on", False, "u")
        handle("u")
        flags.install(parse({"flags": {**FLAGS, "on": {"percent": 100, "description": str(id(object()))}}}))
    flags.is_enabled("nope", "u")
    flags.is_enabled("half", "")
    assert flags.counts() == {("on", "on", "STATIC"): 12, ("", None, "ERROR"): 1, ("half", None, "ERROR"): 1}


def test_a_watcher_sees_every_answer_and_can_not_hurt() -> None:
    """Woven in while it watches; one that raises is dropped after ten times."""
    flags = client()
    seen: list[Any] = []

    def bad(*_: object) -> None:
        raise RuntimeError("hook")

    stop_good, stop_bad = flags.watch(lambda *outcome: seen.append(outcome)), flags.watch(bad)
    before = _trouble.counts().get("watcher of evaluations", 0)
    for _ in range(20):
        assert flags.is_enabled("on", "u")
    assert flags.is_enabled("nope", "u") is False
    assert len(seen) == 21
    assert seen[0] == ("on", "on", "STATIC", None)
    assert seen[-1] == ("", None, "ERROR", "FLAG_NOT_FOUND")
    assert _trouble.counts()["watcher of evaluations"] == before + 10
    stop_good(), stop_bad(), stop_bad()
    flags.is_enabled("on", "u")
    assert len(seen) == 21


def test_an_event_is_tracked_for_its_unit() -> None:
    """Never raises; what can't be counted is not."""
    flags = client()
    told: list[Tracked] = []
    flags.bus.listen(Tracked, told.append)
    flags.track("conversion", "u", value=2)
    with bind("ambient"):
        flags.track("click")
    with bind("shadow", silent=True):
        flags.track("click")
    for context, value in ((None, 1.0), ("u", math.nan), ("u", "x"), (object(), 1.0)):
        flags.track("bad", context, value)  # type: ignore[arg-type]
    assert told == [Tracked("conversion", b"u", 2.0), Tracked("click", b"ambient", 1.0)]


def test_a_client_can_not_be_pickled() -> None:
    """And the message says what to do instead."""
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="connect again"):
            attempt(client())


def test_listeners_hear_of_a_reload_when_the_lock_is_free() -> None:
    """One that waits for another thread's change is no deadlock."""
    flags = client()
    heard: list[str] = []

    def wait_for_another(event: Reloaded) -> None:
        if not heard:
            heard.append("first")
            thread = threading.Thread(target=flags.panic)
            thread.start()
            thread.join(60)
            heard.append("free" if not thread.is_alive() else "stuck")

    flags.bus.listen(Reloaded, wait_for_another)
    flags.pin("half", 0)
    assert heard == ["first", "free"]


def test_an_evaluation_is_frozen_and_plain() -> None:
    """Shared by everybody who gets it."""
    answer = client().evaluate("limits", {}, "u")
    with pytest.raises(AttributeError):
        answer.value = 3
    with pytest.raises(AttributeError):
        del answer.key
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert json.loads(json.dumps(answer.to_dict())) == {
        "key": "limits", "value": {"k": 10, "tags": ["a"]}, "variant": "small", "reason": "STATIC", "error_code": None, "revision": 0,
    }  # fmt: skip


def test_a_number_too_long_to_write_out_is_no_key() -> None:
    """Python refuses to spell more than 4,300 digits; whoever brings them gets the default, and the Context can be made."""
    huge = 10**5000
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"percent": 50}, "by": {"percent": 50, "unit": "n"}}}))
    for answer in (
        client.evaluate("f", None, Context(huge)),
        client.evaluate("f", None, huge),
        client.evaluate("by", None, Context("u", {"n": huge})),
    ):
        assert (answer.value, answer.error_code) == (None, "TARGETING_KEY_MISSING")
    assert client.explain("by", Context("u", {"n": huge})).evaluation.error_code == "TARGETING_KEY_MISSING"


def test_who_will_not_say_what_it_is_is_nobody() -> None:
    """Its own code is not run to find out; and an explanation of it is one."""

    class Silent:
        @property
        def __class__(self) -> Any:
            raise RuntimeError

    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"percent": 50}, "by": {"percent": 50, "unit": "n"}}}))
    assert client.evaluate("f", None, Context(Silent())).error_code == "TARGETING_KEY_MISSING"  # type: ignore[arg-type]
    assert client.evaluate("by", None, Context("u", {"n": Silent()})).error_code == "TARGETING_KEY_MISSING"
    assert client.explain("by", Context("u", {"n": Silent()})).evaluation.error_code == "TARGETING_KEY_MISSING"


def test_a_ramp_that_has_arrived_asks_for_no_key() -> None:
    """Nobody before it begins, everybody after it ends, with a key or without; in between the hash needs one."""
    clock = ManualClock(wall=0.0)
    client = Client(bus=Bus(), clock=clock)
    client.install(parse({"flags": {"f": {"ramp": {"from": "1970-01-02", "until": "1970-01-03"}}}}))
    said = []
    for _ in range(3):
        said.append((client.evaluate("f").value, client.evaluate("f").error_code, client.explain("f").evaluation.value))
        clock.advance("1d" if len(said) > 1 else "36h")
    assert said == [(False, None, False), (None, "TARGETING_KEY_MISSING", None), (True, None, True)]
