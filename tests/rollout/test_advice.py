"""What is said about a plan before it begins."""

from __future__ import annotations

import pytest

from progflags.flags import parse
from progflags.rollout import Plan, forecast, lint, lint_snapshot
from progflags.rollout._forecast import detectable, span


def rules(**table):
    return [advice.rule for advice in lint(Plan.of(table))]


def test_the_profiles_have_nothing_to_be_ashamed_of():
    assert {name: rules(profile=name) for name in ("low", "standard", "high", "emergency")} == {
        "low": [],
        "standard": [],
        "high": [],
        "emergency": [],
    }


GATE = {"metric": "error_rate", "max": 0.1}


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"stages": [{"percent": 1, "bake": "14m", "gates": [GATE]}]}, "short-bake"),
        ({"stages": [{"percent": 1, "bake": "15m"}]}, "no-gate"),
        (
            {"stages": [{"percent": 1, "bake": "30m", "gates": [{"metric": "conversion", "max_decrease": 0.0}]}], "holdback": 1},
            "short-business",
        ),
        ({"stages": [{"percent": p, "bake": "1h", "gates": [GATE]} for p in (1, 60)]}, "steep"),
        ({"profile": "high", "dark_launch": False}, "no-dark-launch"),
        ({"profile": "low", "watch": "0s"}, "no-watch"),
        ({"profile": "low", "brake": False}, "no-brake"),
    ],
)
def test_each_anti_pattern_is_named(table, rule):
    assert rules(**table) == [rule]


def test_a_whole_file_is_looked_at_with_places():
    flags = {
        "good": {"rollout": {"profile": "low"}},
        "hasty": {"rollout": {"stages": [{"percent": 1, "bake": "1m", "gates": [GATE]}]}},
        "wrong": {"rollout": {"stages": [{"percent": 9}, {"percent": 3}]}},
        "plain": {},
    }
    wrong, advice = lint_snapshot(parse({"flags": flags}, file="flags.toml", lines=lambda path: 7))

    assert [(problem.key, problem.line) for problem in wrong] == [("flags.wrong.rollout.stages", 7)]
    assert [problem.key for problem in advice] == ["flags.hasty.rollout.stages[0].bake"]


@pytest.mark.parametrize(
    ("rate", "factor", "share", "published"),
    [
        (0.001, 2.0, 0.5, 25_900),
        (0.001, 10.0, 0.5, 1_390),
        (0.01, 2.0, 0.5, 2_560),
        (0.001, 2.0, 0.01, 8_800),
        (0.001, 10.0, 0.01, 140),
        (0.01, 2.0, 0.01, 865),
    ],
)
def test_what_a_stage_can_see_agrees_with_the_published_planning_numbers(rate, factor, share, published):
    """Requests for 80 % power at a margin of 10 %, one look; looking all the time costs 1.8 times as many."""
    assert detectable(published * 1.8 * 1.03, rate, share=share, tolerated=0.1) <= factor
    assert detectable(published * 1.8 * 0.95, rate, share=share, tolerated=0.1) > factor


def test_no_traffic_sees_nothing():
    assert detectable(0, 0.01, share=0.1) is None
    assert detectable(3, 0.001, share=0.01) is None


def test_more_traffic_sees_more():
    seen = [detectable(n, 0.01, share=0.1) for n in (1000, 10_000, 100_000)]
    assert seen == sorted(seen, reverse=True)


def test_a_forecast_adds_up_and_reads_well():
    said = forecast(Plan.of({"profile": "standard"}), rps=10)

    assert (said.to_full, said.to_end) == (18_900, 105_300)
    assert (said.stages[0].percent, said.stages[0].requests) == (5, 450)
    assert "can see an error rate ×" in str(said)
    assert "no error rate below ×50" in str(forecast(Plan.of({"profile": "standard"}), rps=0.5, error_rate=0.0001))
    assert "5 %  from     0s" in str(said)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59.5, "59.5s"), (90, "1.5m"), (3600, "1h"), (86_400 * 3, "3d")])
def test_durations_for_people(seconds, text):
    assert span(seconds) == text


def linted(flags):
    return lint_snapshot(parse({"flags": flags}, file="flags.toml", lines=lambda path: 7 if path[-1] != "needs" else 9))


def waiting(*flags, word="needs"):
    return {"rollout": {"profile": "low", word: list(flags)}}


def test_lint_says_that_a_needed_flag_does_not_exist():
    """It would wait silently; but another application's file, on the same store, may know the flag."""
    flags = {"checkout": waiting("new-ledgr", "plain", "new-ledger"), "new-ledger": {"rollout": {"profile": "low"}}, "plain": {}}
    wrong, advice = linted(flags)

    assert wrong == ()
    assert [(one.key, one.hint) for one in advice] == [
        ("flags.checkout.rollout.needs[0]", "unknown-needs"),
        ("flags.checkout.rollout.needs[1]", "unknown-needs"),
    ]
    assert advice[0].message.startswith("there is no flag 'new-ledgr' in this file (did you mean 'new-ledger'?)")
    assert "'plain' has no rollout" in advice[1].message
    assert "waits for ever" in advice[0].message


def test_lint_says_that_a_conflicting_flag_does_not_exist():
    """Nothing would be kept apart, which nobody would notice before both serve."""
    wrong, advice = linted({"checkout": waiting("new-ledgr", word="conflicts"), "new-ledger": {"rollout": {"profile": "low"}}})

    assert wrong == ()
    assert [(one.key, one.hint) for one in advice] == [("flags.checkout.rollout.conflicts[0]", "unknown-conflicts")]
    assert "nothing is excluded" in advice[0].message


def test_lint_says_that_rollouts_wait_for_each_other():
    """None of a circle would ever begin: it is said once, as what cannot be carried out."""
    wrong, _ = linted({"a": waiting("b"), "b": waiting("c"), "c": waiting("a"), "d": waiting("a")})

    (problem,) = wrong
    assert (problem.key, problem.line) == ("flags.a.rollout.needs", 9)
    assert problem.message == "rollouts that need each other: a → b → c → a; none of them would ever begin"


def test_a_needed_flag_that_is_broken_is_not_called_unknown():
    """Its own mistake is said already."""
    _, advice = linted({"a": waiting("b"), "b": {"rollout": {"profile": "low"}, "percnt": 3}})
    assert advice == ()
