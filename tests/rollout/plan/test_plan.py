"""Plans: refused when they cannot be carried out, whole once built, frozen for the length of a run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags._json import canonical, loads
from progflags.rollout import PROFILES, Plan, PlanError
from progflags.rollout.plan._profiles import choose


def plan(**table):
    return Plan.of({"stages": [{"percent": 1, "bake": "15m"}, {"percent": 10, "bake": "1h"}], **table})


def test_a_profile_is_a_whole_plan():
    """`profile = "standard"` alone climbs 1, 10, 50 and watches a day."""
    standard = Plan.of({"profile": "standard"})

    assert [(stage.percent, stage.bake) for stage in standard.stages] == [(1, 900), (10, 3600), (50, 14_400)]
    assert standard.watch == 86_400
    assert standard.profile == "standard@2"


@pytest.mark.parametrize("name", list(PROFILES))
def test_every_profile_makes_a_plan_and_survives_freezing(name):
    plan = Plan.of({"profile": name})

    assert Plan.thaw(loads(canonical(plan.to_dict()))) == plan


def test_own_stages_replace_the_profiles_and_the_rest_stays():
    own = Plan.of({"profile": "high", "stages": [{"percent": 20, "bake": "30m"}]})

    assert [stage.percent for stage in own.stages] == [20]
    assert (own.watch, own.alpha, own.holdback, own.approval_full) == (259_200, 0.01, 10_000, True)


def test_a_profile_can_be_pinned_to_a_version():
    assert Plan.of({"profile": "low@1"}).profile == "low@1"
    with pytest.raises(PlanError, match="no version '9'"):
        Plan.of({"profile": "low@9"})


@pytest.mark.parametrize(
    ("named", "tags", "key", "chosen"),
    [
        ("low", ("risk:high",), "high/x", "low"),
        (None, ("team:a", "risk:high"), "emergency/x", "high"),
        (None, ("risk:unheard-of",), "emergency/x", "emergency"),
        (None, (), "high", "standard"),
        (None, (), "checkout", "standard"),
    ],
)
def test_the_profile_is_named_else_tagged_else_by_path(named, tags, key, chosen):
    assert choose(named, tags, key) == chosen


def test_approve_before_ten_asks_at_the_first_stage_that_reaches_ten():
    stages = [{"percent": p, "bake": "1m"} for p in (1, 5, 25, 50)]

    assert [stage.approval for stage in plan(stages=stages, approval={"before": [10]}).stages] == [False, False, True, False]


def test_approval_before_a_hundred_is_asked_before_the_watch():
    assert plan(approval={"before": [100]}).asks(2)
    assert not plan().asks(2)


def test_a_written_stage_of_a_hundred_percent_is_the_watch():
    written = plan(stages=[{"percent": 50, "bake": "1m"}, {"percent": 100, "approval": True}])

    assert len(written.stages) == 1
    assert written.asks(1)


def test_the_rollouts_own_gates_stand_at_every_stage():
    gated = plan(gates=[{"metric": "error_rate", "max": 0.01}])

    assert all([gate.metric for gate in stage.gates] == ["error_rate"] for stage in gated.stages)


def test_the_watch_keeps_the_absolute_part_of_the_gates():
    """Nobody is left to compare with at 100 %, so only `max` and `min` still say something."""
    gates = [{"metric": "p99_latency", "max": 0.5, "max_increase": 0.1}, {"metric": "conversion", "max_decrease": 0.0}]
    watched = plan(stages=[{"percent": 10, "bake": "1m", "gates": gates}]).gates(1)

    assert [(gate.metric, gate.max, gate.max_increase) for gate in watched] == [("p99_latency", 0.5, None)]


def test_beside_a_holdback_the_watch_goes_on_comparing():
    gates = [{"metric": "conversion", "max_decrease": 0.0}]
    watched = plan(stages=[{"percent": 10, "bake": "1m", "gates": gates}], holdback=1)

    assert [gate.max_decrease for gate in watched.gates(1)] == [0.0]
    assert watched.full == 990_000


def test_a_look_fits_ten_times_into_the_shortest_bake():
    short = plan(stages=[{"percent": 1, "bake": "5s"}, {"percent": 10, "bake": "1h"}])

    assert short.batch_at(0) == pytest.approx(0.5)
    assert short.batch_at(1) == 10


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ({"stages": [{"percent": 10}, {"percent": 5}]}, "stages", "above the one before"),
        ({"stages": [{"percent": 0}]}, "stages.0.percent", "above 0"),
        ({"stages": [{"percent": 100}, {"percent": 10}]}, "stages.0.percent", "no control arm"),
        ({"stages": [{"percent": 0.00001}]}, "stages.0.percent", "four decimals"),
        ({"stages": [{"percent": 10, "bake": "15"}]}, "stages.0.bake", "not a duration"),
        ({"stages": [{"percent": 10, "bake": "2h", "deadline": "1h"}]}, "stages.0.deadline", "before the bake"),
        ({"stages": [{"percent": 10, "gates": [{"metric": "x"}]}]}, "stages.0.gates.0", "no bound"),
        ({"stages": [{"percent": 10, "gate": []}]}, "stages.0.gate", "unknown key"),
        ({"alpha": 1.5}, "alpha", "below 1"),
        ({"alpha": "much"}, "alpha", "could not convert"),
        ({"brake": {"calls": 0}}, "brake", "at least 1"),
        ({"brake": {"speed": 3}}, "brake", "calls, failures and control"),
        ({"holdback": 95}, "holdback", "leaves less"),
        ({"profile": "yolo"}, "profile", "it is one of low, standard"),
        ({"windows": [{"days": ["funday"]}]}, "windows", "days are some of"),
        ({"windows": [{"timezone": "Mars/Base"}]}, "windows", "no time zone"),
        ({"windows": [{"from": "09:00+02:00", "to": "17:00+02:00"}]}, "windows", "under `timezone`"),
        ({"windows": [{"from": "09:00Z"}]}, "windows", "under `timezone`"),
        ({"windows": [{"from": "09:00", "to": "09:00"}]}, "windows", "is never"),
        ({"freeze": [{"from": "2027-01-02", "to": "2027-01-01"}]}, "freeze", "before it begins"),
        ({"approval": {"two_person": "no"}}, "approval.two_person", "neither true nor false"),
        ({"approval": True}, "approval", "no table"),
        ({"needs": ["other", "x"]}, "needs", "wait for itself"),
        ({"conflicts": ["x"]}, "conflicts", "wait for itself"),
        ({"approval": {"after": [3]}}, "approval.after", "unknown key"),
        ({"on_insufficient": "hope"}, "stages.0.on_insufficient", '"hold" or "rollback"'),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_where_it_is_wrong(table, key, says):
    with pytest.raises(PlanError, match=says) as refused:
        Plan.of({"stages": [{"percent": 10, "bake": "1m"}], **table}, key="x")

    assert refused.value.key == key


@given(
    percents=st.lists(st.integers(1, 989_999), min_size=0, max_size=5, unique=True).map(sorted),
    bakes=st.lists(st.floats(0.001, 1e6), min_size=5, max_size=5),
    approvals=st.lists(st.integers(1, 100), max_size=3),
    holdback=st.sampled_from([0, 0.5, 1]),
    deadline=st.sampled_from([None, "12d"]),
)
def test_freezing_and_thawing_a_plan_changes_nothing(percents, bakes, approvals, holdback, deadline):
    stages = [{"percent": share / 10_000, "bake": f"{bake:.6f}s"} for share, bake in zip(percents, bakes, strict=False)]
    plan = Plan.of(
        {
            "stages": stages,
            "approval": {"before": approvals},
            "holdback": holdback,
            "deadline": deadline or "20d",
            "freeze": [{"from": "2027-12-24", "to": "2027-12-26T12:00:00+01:00", "reason": "holidays"}],
        }
    )

    again = Plan.thaw(loads(canonical(plan.to_dict())))

    assert again == plan
    assert again.digest == plan.digest


def test_without_a_deadline_a_stage_waits_for_ever():
    assert Plan.thaw({"stages": [{"percent": 1, "bake": "1s"}]}).stages[0].deadline == math.inf


RULES = {"payments/*": "high", "*.experiment": "low", "billing.toml": "high@1", "team-b/*": "emergency"}


@pytest.mark.parametrize(
    ("key", "file", "chosen"),
    [
        ("payments/refund", "flags.toml", "high@2"),
        ("refund", "flags/payments.toml", "standard@2"),
        ("colour.experiment", "flags/billing.toml", "low@2"),  # the first that matches
        ("colour", "flags/billing.toml", "high@1"),
        ("colour", "/srv/app/team-b/flags.toml", "emergency@3"),
        ("colour", "billing.toml", "high@1"),
        ("low/colour", "flags.toml", "low@2"),  # no rule: the key's own beginning
        ("colour", "not-billing.toml", "standard@2"),
    ],
)
def test_a_path_rule_of_the_file_chooses_the_profile(key, file, chosen):
    assert Plan.of({}, key=key, file=file, rules=RULES).profile == chosen


def test_what_a_flag_says_itself_wins_over_a_path_rule():
    assert Plan.of({"profile": "low"}, key="payments/x", rules=RULES).profile == "low@2"
    assert Plan.of({}, tags=["risk:emergency"], key="payments/x", rules=RULES).profile == "emergency@3"


def test_a_rule_that_names_no_profile_is_refused_with_those_there_are():
    with pytest.raises(PlanError, match="no profile 'hgih': it is one of low, standard"):
        Plan.of({}, key="x", rules={"x": "hgih"})


def test_rules_are_read_from_files_and_folders(tmp_path):
    """By the key in one file, by the file's name in a folder of them; an edit of the rules is an edit of the plan."""
    import progflags as pf

    (tmp_path / "a.toml").write_text('[profiles]\n"b.toml" = "low"\n"pay*" = "high"\n[flags.one.rollout]\n[flags.pay.rollout]\n')
    (tmp_path / "b.toml").write_text("[flags.two.rollout]\n")
    with pf.connect(tmp_path, poll=None) as flags:
        assert [flags.rollouts.status(flag).profile for flag in ("one", "two", "pay")] == ["standard@2", "low@2", "high@2"]
        (tmp_path / "a.toml").write_text('[profiles]\n"pay*" = "emergency"\n[flags.one.rollout]\n[flags.pay.rollout]\n# longer\n')
        flags.refresh()
        assert [flags.rollouts.status(flag).profile for flag in ("one", "two", "pay")] == ["standard@2", "standard@2", "emergency@3"]


def test_a_rule_that_is_no_name_is_a_problem_of_the_file():
    import progflags as pf

    with pytest.raises(pf.DefinitionError, match="profiles: the profile of 'x' is a name, not 7"):
        pf.connect({"profiles": {"x": 7}, "flags": {}}, poll=None)
