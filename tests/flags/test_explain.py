"""Explanations: every step, the bucket, the threshold, when this unit would enter; and never another answer than evaluate's."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, Live, bucket, parse
from progflags.testing import ManualClock


def client(document: dict[str, Any], **live: Live) -> Client:
    made = Client(bus=Bus(), clock=ManualClock())
    made.install(parse(document), live)
    return made


def test_an_explanation_reads_like_the_rules() -> None:
    """One line a step, those that did not match included."""
    flags = client(
        {"flags": {"f": {"rules": [{"name": "staff", "when": 'plan == "staff"'}, {"name": "pro", "when": 'plan == "pro"', "percent": 25}]}}}
    )
    explanation = flags.explain("f", Context("user-2", {"plan": "pro"}))

    at = bucket("r", "f", "user-2")
    assert str(explanation) == "\n".join(
        [
            "f → off = False  [SPLIT]",
            "  unit: user-2 (the targeting key)",
            "  - rule 'staff': plan == \"staff\" is not so: plan is 'pro'",
            f"  - rule 'pro': plan == \"pro\", but bucket {at / 10_000:g} % is not below 25 %; enters at {(at + 1) / 10_000:.4f} %",
            "  + default: no rule decided, so off is served",
        ]
    )
    assert explanation.steps[1].bucket == at
    assert explanation.steps[1].threshold == 250_000
    assert json.loads(json.dumps(explanation.to_dict()))["steps"][1]["bucket"] == at


@given(st.text(min_size=1, max_size=8).filter(lambda text: text.isascii() and text.isprintable()))
def test_a_unit_enters_at_exactly_the_share_it_is_told(user: str) -> None:
    """Out just below, in at it."""
    flags = client({"flags": {"f": {"rollout": {}}}}, f=Live("f", 1, 1))
    step = flags.explain("f", user).steps[0]
    if step.matched:
        return
    assert step.bucket is not None
    for share, inside in ((step.bucket, False), (step.bucket + 1, True)):
        flags.install(live={"f": Live("f", 1, share)})
        assert flags.is_enabled("f", user) is inside
    assert f"enters at {(step.bucket + 1) / 10_000:.4f} %" in step.why


def test_why_there_is_no_answer() -> None:
    """A missing unit, an unknown flag, a missing attribute by name."""
    flags = client({"flags": {"f": {"percent": 50, "unit": "account"}, "bad": {"percent": "x"}}})
    assert "account is missing" in str(flags.explain("f", "u"))
    assert "there is no such flag" in str(flags.explain("g", "u"))
    assert "its definition was rejected" in str(flags.explain("bad", "u"))
    assert "nothing has been loaded" in str(Client(bus=Bus(), clock=ManualClock()).explain("f", "u"))


# A random flag with everything a flag may have; and the decision must be the same, walked or compiled.
conditions = st.sampled_from(
    [
        'plan == "pro"',
        'plan in ["pro", "x"] and app >= semver("2.0.0")',
        "beta",
        'not (plan != "pro")',
        'segment("s")',
        'plan == "pro" or beta',
    ]
)
percents = st.sampled_from([0, 0.0001, 10, 50, 99.9, 100])
rules = st.fixed_dictionaries(
    {},
    optional={
        "when": conditions,
        "percent": percents,
        "split": st.just({"a": 1, "b": 2}),
        "from": st.sampled_from(["1969-01-01", "2040-01-01"]),
        "until": st.sampled_from(["2041-01-01"]),
    },
).map(lambda rule: rule if "split" in rule else {**rule, "serve": "b"})
flag = st.fixed_dictionaries(
    {"variants": st.just({"a": "a", "b": "b", "c": "c"}), "default": st.just("a"), "safe": st.just("c")},
    optional={
        "rules": st.lists(rules, max_size=4),
        "requires": st.just([{"flag": "base"}]),
        "holdout": st.just("h"),
        "group": st.just("g"),
        "kind": st.just("experiment"),
        "rollout": st.just({"variant": "b"}),
    },
)


@given(
    flag,
    st.integers(0, 200),
    st.dictionaries(st.sampled_from(["plan", "app", "beta"]), st.sampled_from(["pro", "x", "2.1.0", True]), max_size=3),
    percents,
)
@settings(max_examples=200)
def test_explain_and_evaluate_never_disagree(definition: dict[str, Any], user: int, attributes: dict[str, Any], share: float) -> None:
    """The last step that decided is the answer's reason, whatever the flag has."""
    document = {
        "segments": {"s": {"when": "beta"}},
        "groups": {"g": {"slots": {"f": 60} if "group" in definition else {}}},
        "holdouts": {"h": {"percent": 30}},
        "flags": {"base": {"percent": 70}, "f": definition},
    }
    flags = client(document, f=Live("f", 1, int(share * 10_000)))
    assert flags.definitions
    assert not flags.definitions.rejected
    context = Context(f"u{user}", attributes)
    explanation, answer = flags.explain("f", context), flags.evaluate("f", None, context)
    assert explanation.evaluation == answer
    last = explanation.steps[-1]
    if answer.reason == "DISABLED":
        assert last.what.startswith(("requires", "holdout"))
    elif answer.reason == "TARGETING_MATCH":
        assert last.what.startswith("rule")
        assert last.matched
    elif answer.reason == "DEFAULT":
        assert last.what in ("default", "rollout")
    if last.what.startswith("rule"):
        assert last.matched
        assert answer.variant is not None
        assert answer.variant in last.why


def test_a_unit_that_only_a_required_flag_lacks_is_not_called_the_flags_own() -> None:
    mine = {"percent": 50, "unit": "account_id", "requires": [{"flag": "g", "is": "on"}]}
    flags = client({"flags": {"g": {"percent": 50}, "f": mine}})
    told = flags.explain("f", Context(None, {"account_id": "a-1"}))

    assert str(told.evaluation.error_code) == "TARGETING_KEY_MISSING"
    assert told.steps[-1].why == "what a flag it requires buckets by is missing, or can't be bucketed"
    assert "account_id is missing" in str(Client.explain(flags, "f", Context("u")))
