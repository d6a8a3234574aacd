"""What validates and does something else than its author thinks: lint and validate say it, and every hint is a way out."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.sizes import size

import progflags as pf
from progflags.cli import _lint, _push, _validate
from progflags.errors import DefinitionError
from progflags.flags import parse
from progflags.flags.conditions._implied import implies
from progflags.flags.conditions._tree import tree
from progflags.rollout import Plan


def run(module: ModuleType, file: Path, *words: str, store: str | None = None) -> int:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    name = module.__name__.rpartition("_")[2]
    arguments = parser.parse_args([name, str(file), *words], argparse.Namespace(json=True, flags=None, store=store, environment=None))
    return int(arguments.run(arguments))


def linted(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: dict[str, Any]) -> list[tuple[str, str, str]]:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flags": {"f": {"owner": "x", **flag}}}))
    run(_lint, file)
    problems = json.loads(capsys.readouterr().out)["problems"]
    return [(problem["rule"], problem["key"], problem["message"]) for problem in problems]


ABC = {"variants": {"a": "a", "b": "b", "c": "c"}, "default": "c"}


def rules(*rows: dict[str, Any]) -> dict[str, Any]:
    return {**ABC, "rules": list(rows)}


def everybody(flag: dict[str, Any]) -> set[str]:
    """The variants that 2,000 units of every plan and age get."""
    with pf.connect({"flags": {"f": flag}}, poll=None) as flags:
        made = (pf.Context(f"u{n}", {"plan": plan, "age": n % 80}) for n in range(size(700, full=2000)) for plan in ("pro", "team", "free"))
        return {flags.get("f", "", who) for who in made}


SWALLOWED = [
    rules({"serve": "a", "percent": 10}, {"serve": "b", "percent": 10}),
    rules({"serve": "a", "percent": 10}, {"serve": "b", "percent": 5}),
    rules({"when": 'plan == "pro"', "serve": "a", "percent": 20}, {"when": 'plan == "pro"', "serve": "b", "percent": 20}),
    rules({"serve": "a", "percent": 20}, {"when": 'plan == "pro"', "serve": "b", "percent": 20}),
    rules({"when": 'plan in ["pro", "team"]', "serve": "a", "percent": 20}, {"when": 'plan == "pro"', "serve": "b", "percent": 20}),
    rules({"when": "age >= 18", "serve": "a", "percent": 20}, {"when": 'age > 21 and plan == "pro"', "serve": "b", "percent": 20}),
    rules({"when": "exists(age)", "serve": "a", "percent": 20}, {"when": "age < 5", "serve": "b", "percent": 20}),
    rules({"serve": "a", "percent": 20}, {"serve": "c", "percent": 1}, {"split": {"b": 1}, "percent": 15}),
    rules({"serve": "a", "percent": 20}, {"serve": "b", "ramp": {"from": "2020-01-01", "until": "2021-01-01", "end": 20}}),
]


@pytest.mark.parametrize("flag", SWALLOWED)
def test_a_share_that_an_earlier_one_swallows_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: dict[str, Any]) -> None:
    """All rules of a flag take from the same units; and it is true that nobody gets the variant."""
    found = [(rule, key) for rule, key, _ in linted(tmp_path, capsys, flag) if rule == "swallowed"]
    assert ("swallowed", f"flags.f.rules[{len(flag['rules']) - 1}]") in found
    assert "b" not in everybody(flag)


@pytest.mark.parametrize(
    "flag",
    [
        rules({"serve": "a", "percent": 10}, {"serve": "b"}),
        rules({"when": 'plan == "pro"', "serve": "a", "percent": 10}, {"serve": "b", "percent": 10}),
        rules({"when": 'plan == "pro"', "serve": "a", "percent": 10}, {"when": 'plan == "team"', "serve": "b", "percent": 10}),
        rules({"when": 'plan == "pro"', "serve": "a", "percent": 10}, {"when": "age > 20", "serve": "b", "percent": 10}),
        rules({"serve": "a", "percent": 10, "until": "2021-01-01"}, {"serve": "b", "percent": 10}),
        rules({"serve": "b", "percent": 10}, {"when": 'plan == "pro"', "serve": "b", "percent": 50}),
        rules({"serve": "a", "ramp": {"from": "2020-01-01", "until": "2021-01-01", "start": 0, "end": 10}}, {"serve": "b", "percent": 20}),
        {**ABC, "split": {"a": 1, "b": 1}, "percent": 20},
    ],
)
def test_what_reaches_somebody_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: dict[str, Any]) -> None:
    """Other people, another time, the rest of everybody, or more of the same: those are no traps."""
    assert not [rule for rule, _, _ in linted(tmp_path, capsys, flag) if rule in ("swallowed", "unreachable")]
    assert "b" in everybody(flag)


def test_a_share_that_is_swallowed_in_part_says_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """20 % after 5 % are 15."""
    flag = rules({"name": "first", "serve": "a", "percent": 5}, {"name": "second", "serve": "b", "percent": 20})
    messages = {rule: message for rule, _, message in linted(tmp_path, capsys, flag)}
    assert messages["swallowed"].startswith("rule 'second' reaches 15 % and not 20 %: the others were served by 'first' before it")


def test_a_condition_that_an_earlier_one_has_all_of_is_never_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not only the same words again: a part of it, a narrower one, a segment with it inside."""
    flag = rules({"name": "adults", "when": "age >= 18", "serve": "a"}, {"name": "old", "when": "age > 65 and beta", "serve": "b"})
    found = [(rule, message) for rule, _, message in linted(tmp_path, capsys, flag)]
    assert ("unreachable", "rule 'old' is never reached: 'adults' before it serves all of them") in found


def test_a_rollouts_stages_that_a_rule_has_taken_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The controller would compare nobody with somebody, and wait."""
    stages = [{"percent": percent, "bake": "1h", "gates": [{"metric": "error_rate", "max": 0.1}]} for percent in (1, 5, 25)]
    flag = {**rules({"name": "early", "serve": "a", "percent": 5}), "rollout": {"variant": "b", "stages": stages}}
    found = [(rule, key, message) for rule, key, message in linted(tmp_path, capsys, flag) if rule == "swallowed"]
    message = "rule 'early' before it serves the first 5 % of everybody: its stages of 1, 5 % reach nobody; give the rule a flag of its own"
    assert found == [("swallowed", "flags.f.rollout", message)]


# ── implication: never true where it is not ──────────────────────────

leaves = st.sampled_from(
    [
        *(f"age {op} {n}" for op in ("==", "!=", "<", "<=", ">", ">=") for n in (17, 18, 18.0, 19)),
        *(
            'plan == "pro"',
            'plan != "pro"',
            'plan in ["pro", "team"]',
            'plan not in ["pro", "free"]',
            'plan startswith "p"',
            'plan matches "*r*"',
        ),
        *(
            "beta",
            "beta == false",
            "exists(plan)",
            "not exists(age)",
            'app >= semver("1.2.0")',
            'app > semver("1.2.0")',
            'app < semver("2.0.0")',
        ),
        *('at >= date("2027-01-01")', 'at > date("2027-01-01")', 'roles contains "a"', 'roles overlaps ["a", "b"]'),
    ]
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=4,
)
VALUES: dict[str, list[Any]] = {
    "age": [None, 16, 17, 17.5, 18, 19, 20, True, "18", float("nan")],
    "plan": [None, "pro", "team", "free", "", 3],
    "beta": [None, True, False, 1],
    "app": [None, "1.1.0", "1.2", "1.2.1", "2.0.0", "1.2.3.4"],
    "at": [None, "2027-01-01", "2027-01-02", 5],
    "roles": [None, ["a"], ["b"], ["a", "b"], "a"],
}
_r = random.Random(7)  # noqa: S311 - repeatable
PEOPLE = [{name: _r.choice(values) for name, values in VALUES.items()} for _ in range(400)]


@given(conditions, conditions)
def test_an_implied_condition_matches_everybody_whom_the_first_does(first: str, second: str) -> None:
    """Against 400 people with every kind of value: a rule is called unreachable only where it is."""
    one, other = tree(first), tree(second)
    assert implies(one, one)
    assert implies(one, None)
    if implies(one, other):
        check, wider = one.compile(), other.compile()
        assert all(wider(None, person) for person in PEOPLE if check(None, person))


# ── how long everybody has had it ────────────────────────────────────


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ({"percent": 100}, None),
        ({"percent": 100, "from": "2020-01-01"}, "percent"),
        ({"percent": 100, "from": "2020-01-01", "until": "2100-01-01"}, None),
        ({"percent": 100, "from": "2100-01-01"}, None),
        ({"ramp": {"from": "2020-01-01", "until": "2020-02-01"}}, "ramp"),
        ({"ramp": {"from": "2020-01-01", "until": "2020-02-01", "end": 50}}, None),
        ({"ramp": {"from": "2020-01-01", "until": "2100-02-01"}}, None),
    ],
)
def test_a_flag_is_finished_only_where_its_age_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: dict[str, Any], key: str | None
) -> None:
    """A brand-new 100 % in a folder that git knows nothing of is not to be taken out; the dates in the file are known."""
    found = [place for rule, place, _ in linted(tmp_path, capsys, flag) if rule == "finished"]
    assert found == ([] if key is None else [f"flags.f.{key}"])


# ── rollouts that can never start ────────────────────────────────────

GATE = {"metric": "error_rate", "max": 0.1}
STAGE = {"percent": 1, "bake": "1h", "gates": [GATE]}
NEVER = [
    ({"windows": [{"from": "09:00", "to": "24:00"}]}, "windows", "'24:00' is no time of day: leave `to` out for the end of the day"),
    ({"windows": [{"from": "25:00"}]}, "windows", "no time of day"),
    ({"windows": [{"from": "09:00", "to": "09:00"}]}, "windows", "is never"),
    ({"windows": [{"timezone": "Europe/Warsav"}]}, "windows", "no time zone known here: did you mean 'Europe/Warsaw'?"),
    ({"windows": [{"days": ["lundi"]}]}, "windows", "days are some of"),
    ({"freeze": [{"from": "2027-12-31", "to": "2027-12-01"}]}, "freeze", "before it begins"),
    ({"stages": [{**STAGE, "percent": 10}, {**STAGE, "percent": 5}]}, "stages", "above the one before it"),
    ({"stages": [{**STAGE, "percent": 0}]}, "stages[0].percent", "above 0"),
    ({"stages": [{**STAGE, "deadline": "5m"}]}, "stages[0].deadline", "lengthen it"),
    ({"stages": [{**STAGE, "gates": [{"metric": "error_rate"}]}]}, "stages[0].gates[0]", "has no bound"),
    ({"profile": "standrad"}, "profile", "standrad"),
    ({"needs": ["f"]}, "needs", "can't wait for itself"),
]


@pytest.mark.parametrize(("table", "key", "message"), NEVER)
def test_a_rollout_that_can_never_start_is_refused_by_validate_and_push(
    tmp_path: Path, table: dict[str, Any], key: str, message: str
) -> None:
    """Exit 2, with its place; an application serves the flag, warns, and refuses to start the rollout."""
    file = tmp_path / "flags.json"
    document = {"flags": {"f": {"rollout": {"stages": [STAGE], **table}}, "good": {"percent": 5}}}
    file.write_text(json.dumps(document))
    for module, store in ((_validate, None), (_push, f"sqlite:///{tmp_path}/live.db")):
        with pytest.raises(DefinitionError) as refused:
            run(module, file, store=store)
        (problem,) = refused.value.problems
        assert problem.key.startswith(f"flags.f.rollout.{key}")
        assert message in f"{problem.message} {problem.hint}"
    with pf.connect(document, poll=None) as flags:
        status = flags.status()
        assert [warning.key for warning in status.warnings] == [problem.key]
        assert (status.state, status.rejected) == ("READY", ())
        assert flags.is_enabled("f", "u") is False
        with pytest.raises((DefinitionError, pf.ProgflagsError)):
            flags.rollouts.start("f")


def test_rollouts_that_wait_for_each_other_can_never_start_either(tmp_path: Path) -> None:
    """A circle of `needs`; each plan alone is good."""
    file = tmp_path / "flags.json"
    flags = {key: {"rollout": {"stages": [STAGE], "needs": [other]}} for key, other in (("f", "g"), ("g", "f"))}
    file.write_text(json.dumps({"flags": flags}))
    with pytest.raises(DefinitionError, match="none of them would ever begin"):
        run(_validate, file)


# ── what was meant ───────────────────────────────────────────────────


def hint_of(document: dict[str, Any]) -> str:
    (problem, *_) = parse({"flags": {"f": document}}).rejected
    return problem.hint


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("x == null", "write not exists(x)"),
        ("x != null", "write exists(x)"),
        ("null == x", "write not exists(x)"),
        ("x == None", "write not exists(x)"),
        ("user.plan != nil", "write exists(user.plan)"),
        ("x is null", "write not exists(x)"),
        ("x is not None", "write exists(x)"),
        ("x is 5", "write == to compare"),
        ('x in ["a", null]', "ask not exists(…) beside it"),
        ("x == pro", 'put quotes around a text: "pro"; another attribute is attr("pro")'),
        ({"attribute": "x", "op": "==", "value": None}, 'write { attribute = "x", op = "exists", value = false }'),
        ({"attribute": "x", "op": "!=", "value": None}, 'write { attribute = "x", op = "exists", value = true }'),
    ],
)
def test_a_comparison_with_null_is_told_of_exists(condition: Any, hint: str) -> None:
    """However another language asks; and what the hint says is a condition."""
    assert hint_of({"rules": [{"when": condition}]}) == hint
    if hint.startswith("write ") and "exists(" in hint:
        assert tree(hint.removeprefix("write ")).compile()(None, {}) is ("not" in hint)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ({"state": "DISABLED"}, "progflags kill KEY"),
        ({"status": "active"}, "progflags kill KEY"),
        ({"archived": True}, "progflags kill KEY"),
        ({"defaultVariant": "on"}, "write default"),
        ({"variations": {"a": 1}}, "write variants"),
        ({"targeting": {}}, "write rules"),
        ({"percentage": 5}, "write percent"),
        ({"bucket-by": "org"}, "write unit"),
        ({"prerequisites": []}, "write requires"),
        ({"percnt": 5}, "did you mean 'percent'?"),
        ({"onwer": "x"}, "did you mean 'owner'?"),
        ({"rules": [{"conditions": []}]}, "write when"),
        ({"rules": [{"variation": "a"}]}, "write serve"),
        ({"rollout": {"stages": [{"percent": 1, "hold": "5m"}]}}, "write bake"),
        ({"rollout": {"stages": [{"percent": 1, "gates": [{"metric": "error_rate", "threshold": 1}]}]}}, "write max"),
        ({"rollout": {"stages": [{"percent": 1, "gates": [{"metric": "error_rate", "max_incraese": 1}]}]}}, "did you mean 'max_increase'?"),
    ],
)
def test_a_word_of_another_system_is_answered_with_ours(flag: dict[str, Any], said: str) -> None:
    """By its meaning, not by its letters: `state` is no `salt`."""
    assert said in hint_of(flag)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("eror_rate", "nothing measures 'eror_rate' by itself, you would have to: did you mean 'error_rate'?"),
        ("error_rates", "nothing measures 'error_rates' by itself, you would have to: did you mean 'error_rate'?"),
        ("p99_latancy", "nothing measures 'latancy' by itself, you would have to: did you mean 'latency'?"),
        ("conversion", None),
        ("error_rate", None),
        ("exception_rate", None),
        ("p95_latency", None),
        ("cpu", None),
    ],
)
def test_a_metric_that_nothing_measures_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str, told: str | None
) -> None:
    """A name that is nearly one of ours; any other is an event that the program tracks."""
    stage = {"percent": 1, "bake": "2h", "gates": [{"metric": metric, "max": 0.1}]}
    found = [found for found in linted(tmp_path, capsys, {"rollout": {"stages": [stage]}}) if found[0] == "metric"]
    assert found == ([] if told is None else [("metric", "flags.f.rollout.stages[0].gates[0].metric", told)])


def test_a_plan_in_code_is_told_what_was_meant_too() -> None:
    """Where the file's own checks do not stand before."""
    with pytest.raises(ValueError, match="did you mean 'stages'"):
        Plan.of({"stags": []})
    with pytest.raises(ValueError, match="did you mean 'timezone'"):
        Plan.of({"stages": [STAGE], "windows": [{"timezon": "UTC"}]})


def test_every_word_that_is_answered_is_one_we_do_not_have() -> None:
    """A table of translations that shadowed a real key would never be read."""
    from progflags.flags.file import _elsewhere, _format

    for words, fields in (
        (_elsewhere.FLAG_WORDS, _format.FLAG),
        (_elsewhere.RULE_WORDS, _format.RULE),
        (_elsewhere.STAGE_WORDS, _format.STAGE),
        (_elsewhere.GATE_WORDS, _format.GATE),
    ):
        assert not words.keys() & fields.kinds.keys()
        assert all(word == word.lower().replace("_", "").replace("-", "") for word in words)
