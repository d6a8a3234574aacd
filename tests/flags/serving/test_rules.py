"""What a rule and a flag may say of themselves: switched off, hours of the week, a unit and a salt of one's own, nobody without a unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, ErrorCode, Flag, Reason, bucket, parse
from progflags.testing import ManualClock

PEOPLE = [Context(f"u-{n}", {"account_id": f"a-{n % 40}", "user": {"key": f"k-{n}"}}) for n in range(400)]


def client(flag: dict[str, Any], at: str = "2026-11-29T12:00:00") -> Client:
    """A client with one flag `f`; 2026-11-29 is a Sunday."""
    made = Client(bus=Bus(), clock=ManualClock(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()))
    snapshot = parse({"flags": {"f": flag}})
    assert snapshot.rejected == ()
    made.install(snapshot)
    return made


def test_a_flag_that_is_switched_off_keeps_what_stands_below() -> None:
    """Everybody gets `safe`, and says why; switched on again it is what it was."""
    flag = {"variants": {"a": "A", "b": "B"}, "default": "a", "safe": "a", "rules": [{"percent": 100, "serve": "b"}]}
    off, on = client({**flag, "enabled": False}), client({**flag, "enabled": True})
    assert off.evaluate("f", "?", "u").reason is Reason.DISABLED
    assert off.get("f", "?", "u") == "A"
    assert on.get("f", "?", "u") == "B"
    assert "enabled: it is switched off in its file, so a is served" in str(off.explain("f", "u"))


@pytest.mark.parametrize(("at", "on"), [("2026-11-28T23:59:59", False), ("2026-11-29T00:00:00", True), ("2026-11-30T00:00:00", False)])
def test_a_flag_may_be_on_for_a_time(at: str, on: bool) -> None:
    """From then until before then."""
    flags = client({"percent": 100, "enabled": {"from": "2026-11-29", "until": "2026-11-30"}}, at)
    assert flags.is_enabled("f", "u") is on
    assert ("it is on from 2026-11-29" in str(flags.explain("f", "u"))) is not on


def test_a_rule_that_is_switched_off_is_passed_over() -> None:
    """As if it were not there; it has a line in an explanation."""
    flags = client({"rules": [{"name": "all", "percent": 100, "enabled": False}, {"name": "half", "percent": 50}]})
    assert flags.is_enabled("f", "u") is (bucket("r", "f", "u") < 500_000)
    assert "rule 'all': it is switched off in its file" in str(flags.explain("f", "u"))


WORK = {"days": ["mon-fri"], "from": "09:00", "to": "17:00", "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("at", "on"),
    [
        ("2026-11-30T07:59:59", False),  # a Monday, 08:59:59 in Berlin
        ("2026-11-30T08:00:00", True),
        ("2026-11-30T15:59:59", True),
        ("2026-11-30T16:00:00", False),
        ("2026-11-29T12:00:00", False),  # a Sunday
        ("2026-11-29T22:30:00", True),  # the night shift, 23:30
        ("2026-11-30T04:30:00", True),
        ("2026-11-30T06:00:00", False),
    ],
)
def test_a_rule_holds_in_its_hours(at: str, on: bool) -> None:
    """In any of them, where the zone is, and over midnight."""
    night = {"days": ["sun"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}
    flags = client({"rules": [{"when": "beta", "windows": [WORK, night]}]}, at)
    who = Context("u", {"beta": True})
    assert flags.is_enabled("f", who) is on
    if not on:
        said = "it is not mon, tue, wed, thu, fri from 09:00 to 17:00 (Europe/Berlin) or sun from 22:00 to 06:00 (Europe/Berlin)"
        assert said in str(flags.explain("f", who))


@pytest.mark.parametrize("at", ["2026-03-29T00:30:00", "2026-03-29T01:30:00", "2026-10-25T00:30:00", "2026-10-25T01:30:00"])
def test_hours_go_by_the_wall_when_clocks_are_changed(at: str) -> None:
    """Between two and three is an hour that is not there in March, and twice there in October."""
    flags = client({"rules": [{"windows": [{"from": "02:00", "to": "03:00", "timezone": "Europe/Berlin"}]}]}, at)
    assert flags.is_enabled("f", "u") is at.startswith("2026-10")


def test_a_rule_buckets_by_its_own_unit_and_salt() -> None:
    """Another share of accounts, beside the flag's of people."""
    flags = client({"rules": [{"percent": 30, "unit": "account_id", "salt": "s", "when": "beta"}, {"percent": 20}]})
    for who in PEOPLE:
        account, key = str(who.attributes["account_id"]), str(who.key)
        beta = Context(who.key, {**who.attributes, "beta": True})
        inside = bucket("r", "s", account) < 300_000
        assert flags.is_enabled("f", beta) is (inside or bucket("r", "f", key) < 200_000)
        assert flags.is_enabled("f", who) is (bucket("r", "f", key) < 200_000)
        assert flags.explain("f", beta).evaluation.value is flags.is_enabled("f", beta)


def test_a_unit_may_lie_in_a_table() -> None:
    """`user.key`; an attribute that is called so comes first."""
    flags = client({"percent": 50, "unit": "user.key"})
    assert {flags.is_enabled("f", who) is (bucket("r", "f", f"k-{n}") < 500_000) for n, who in enumerate(PEOPLE)} == {True}
    literal = Context(None, {"user.key": "x", "user": {"key": "y"}})
    assert flags.is_enabled("f", literal) is (bucket("r", "f", "x") < 500_000)
    assert flags.evaluate("f", False, Context("u", {"user": "y"})).error_code is ErrorCode.TARGETING_KEY_MISSING


def test_the_first_of_several_units_that_is_there() -> None:
    """By its name in the standard, and by the one it had."""
    for word in ("first_of", "first"):
        flags = client({"percent": 50, "unit": {word: ["account_id", "device_id"]}})
        assert flags.is_enabled("f", Context(None, {"device_id": "d"})) is (bucket("r", "f", "d") < 500_000)


SKIPS: list[dict[str, Any]] = [
    {"percent": 100, "when": "beta", "serve": "on"},
    {"percent": 60, "unit": "account_id"},
    {"split": {"on": 1, "off": 1}, "when": "beta"},
    {"percent": 40},
]


def test_who_has_no_unit_is_skipped_where_the_flag_says_so() -> None:
    """No share has them, and what needs no unit answers all the same; else it is an error, as it was."""
    flags = client({"rules": SKIPS, "on_missing_unit": "skip"})
    nobody, beta = Context(None), Context(None, {"beta": True})
    assert flags.evaluate("f", True, nobody).error_code is None
    assert flags.is_enabled("f", nobody) is False
    assert flags.is_enabled("f", beta) is True
    assert flags.is_enabled("f", Context(None, {"account_id": "a-1"})) is (bucket("r", "f", "a-1") < 600_000)
    assert "is missing, and who has none is skipped" in str(flags.explain("f", nobody))
    assert client({"rules": SKIPS[1:]}).evaluate("f", True, nobody).error_code is ErrorCode.TARGETING_KEY_MISSING


def test_metadata_are_plain() -> None:
    """What a standard interface can hand on."""
    flags = client({"percent": 1, "metadata": {"team": "search", "tier": 1}})
    definitions = flags.definitions
    assert definitions is not None
    assert dict(definitions.flags["f"].metadata) == {"team": "search", "tier": 1}
    assert "metadata are texts, numbers, true and false" in str(parse({"flags": {"f": {"metadata": {"a": [1]}}}}).rejected[0])


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ({"enabled": "no"}, "true, false or a time is wanted here"),
        ({"enabled": {"from": "2027-01-02", "until": "2027-01-01"}}, "'until' is not after 'from'"),
        ({"enabled": {"since": "2027-01-02"}}, "write { from = 2027-03-01, until = 2027-04-01 }"),
        ({"rules": [{"windows": [{"days": ["mon-fry"]}]}]}, "days are some of mon, tue"),
        ({"rules": [{"windows": [{"timezone": "Europe/Berln"}]}]}, "did you mean 'Europe/Berlin'?"),
        ({"rules": [{"windows": [{"from": "25:00"}]}]}, "no time of day"),
        ({"rules": [{"windows": []}]}, "a list of hours is wanted here"),
        ({"windows": [WORK]}, "unknown key 'windows'"),
        ({"on_missing_unit": "ignore"}, "one of error, skip is wanted here"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_wrong(flag: dict[str, Any], said: str) -> None:
    """With the remedy."""
    (problem, *_) = parse({"flags": {"f": flag}}).rejected
    assert said in str(problem)


rules = st.fixed_dictionaries(
    {},
    optional={
        "when": st.sampled_from(["beta", "not beta", 'plan ieq "PRO"', "hour(now) < 12"]),
        "percent": st.sampled_from([0, 20, 50, 100]),
        "enabled": st.booleans(),
        "windows": st.just([WORK]),
        "unit": st.sampled_from(["account_id", "user.key", {"first_of": ["device_id", "targeting_key"]}]),
        "salt": st.just("s"),
        "from": st.just("2026-11-30T10:00:00"),
    },
)
flag_tables = st.fixed_dictionaries(
    {"rules": st.lists(rules, max_size=4)},
    optional={
        "enabled": st.booleans() | st.just({"from": "2026-11-30T10:00:00"}),
        "on_missing_unit": st.just("skip"),
        "kind": st.just("experiment"),
    },
)
contexts = st.builds(
    Context,
    st.none() | st.sampled_from(["u-1", "u-2", "u-3"]),
    st.fixed_dictionaries(
        {},
        optional={"beta": st.booleans(), "plan": st.just("pro"), "account_id": st.sampled_from(["a", "b"]), "user": st.just({"key": "k"})},
    ),
)


@settings(max_examples=300)
@given(flag_tables, contexts, st.sampled_from(["2026-11-29T12:00:00", "2026-11-30T09:30:00", "2026-11-30T12:00:00"]))
def test_explain_agrees_with_evaluate(flag: dict[str, Any], who: Context, at: str) -> None:
    """Whatever a flag and its rules say of themselves: the answer, the reason, and the step that decided."""
    flags = client(flag, at)
    answer, told = flags.evaluate("f", None, who), flags.explain("f", who)
    assert (told.evaluation.variant, told.evaluation.reason, told.evaluation.error_code) == (
        answer.variant,
        answer.reason,
        answer.error_code,
    )
    if answer.error_code is None:
        decided = [step for step in told.steps if step.matched]
        assert f"{answer.variant} is served" in decided[-1].why or (not answer.value and "is served" in told.steps[-1].why)


# ── the caller's default ─────────────────────────────────────────────────────

DEFERS: dict[str, Any] = {
    "variants": {"a": "A", "b": "B"},
    "default": "a",
    "rules": [{"when": "legacy", "serve": "default()"}, {"percent": 100, "serve": "b"}],
}


def test_a_rule_may_leave_the_answer_to_the_caller() -> None:
    """No error, no warning, no variant; counted as an answer, and whichever way it is asked."""
    flags = client(DEFERS)
    legacy = Context("u", {"legacy": True})
    answer = flags.evaluate("f", "mine", legacy)
    assert (answer.value, answer.variant, answer.reason, answer.error_code) == ("mine", None, Reason.DEFAULT, None)
    assert flags.get("f", "mine", legacy) == "mine"
    assert flags.get(Flag("f", default="typed"), context=legacy) == "typed"
    assert flags.get("f", 5, legacy) == 5
    assert flags.evaluate_all(legacy)["f"].value is None
    assert flags.get("f", "mine", "u") == "B"
    assert flags.counts()["f", None, "DEFAULT"] == 5
    said = flags.explain("f", legacy)
    assert "so the caller's default is served" in str(said)
    assert (said.evaluation.variant, said.evaluation.reason) == (None, Reason.DEFAULT)


def test_what_requires_a_flag_that_left_its_answer_is_safe() -> None:
    """There is no variant that it could be."""
    made = Client(bus=Bus(), clock=ManualClock())
    made.install(parse({"flags": {"f": DEFERS, "g": {"percent": 100, "requires": [{"flag": "f", "is": "b"}]}}}))
    assert made.is_enabled("g", "u")
    assert not made.is_enabled("g", Context("u", {"legacy": True}))
    assert "it is left to the caller, so off is served" in str(made.explain("g", Context("u", {"legacy": True})))


def test_a_variant_of_that_name_is_the_variant() -> None:
    """A file that has one goes on meaning it."""
    flags = client({"variants": {"default()": "x", "b": "y"}, "default": "b", "rules": [{"serve": "default()"}]})
    assert flags.get("f", "mine", "u") == "x"
