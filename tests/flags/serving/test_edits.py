"""Two definitions of one flag: which of them answers, for whom, as long as the file has the old one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.context import Context, bind
from progflags.events import Bus, Exposed
from progflags.flags import Client, Edit, FlagModel, Killed, Live, alone, bucket, excerpt, imprint, parse, within
from progflags.testing import ManualClock

GOLDEN = Path(__file__).parents[2] / "golden" / "imprints.json"
SHARED: dict[str, Any] = {
    "segments": {"s": {"when": "beta"}},
    "groups": {"g": {"slots": {"f": 60}}},
    "holdouts": {"h": {"percent": 30}},
}
FULL = 1_000_000


def document(flag: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    groups = SHARED["groups"] if "group" in flag else {}
    return {**SHARED, "groups": groups, "flags": {"base": {"percent": 70}, **others, "f": flag}}


def client(flag: dict[str, Any], **others: dict[str, Any]) -> Client:
    made = Client(bus=Bus(), clock=ManualClock(wall=1_800_000_000.0))
    made.install(parse(document(flag, **others)))
    assert made.definitions is not None
    assert not made.definitions.rejected
    return made


def edit(flags: Client, new: dict[str, Any], **own: Any) -> Edit:
    """The change of `f` to another definition, as the rollouts make it."""
    snapshot = flags.definitions
    assert snapshot is not None
    whole = within(document(new), "f", snapshot.shared)
    model = alone(whole, "f", snapshot.flags, file="new.toml")
    made = Edit.made(json.loads(json.dumps(excerpt(whole, model))), imprint(snapshot.flags["f"]), imprint(model))
    return Edit(made.definition, made.digest, made.base, made.new, "f#1", **own)


def serve(flags: Client, change: Edit, share: int, **more: Any) -> Client:
    flags.install(live={"f": Live("f", more.pop("revision", 1), share, counting=0 < share, run=1, edit=change, **more)})
    return flags


conditions = st.sampled_from(['plan == "pro"', 'app >= semver("2.0.0")', "beta", 'not (plan != "pro")', 'segment("s")'])
rules = st.fixed_dictionaries(
    {},
    optional={
        "when": conditions,
        "percent": st.sampled_from([0, 0.0001, 10, 50, 99.9, 100]),
        "split": st.just({"a": 1, "b": 2}),
        "from": st.sampled_from(["1969-01-01", "2040-01-01"]),
        "salt": st.just("own"),
        "enabled": st.booleans(),
    },
).flatmap(
    lambda rule: st.just(rule) if "split" in rule else st.sampled_from(["a", "b", "c", "default()"]).map(lambda v: {**rule, "serve": v})
)
flag = st.fixed_dictionaries(
    {"variants": st.sampled_from([{"a": "a", "b": "b", "c": "c"}, {"a": "A", "b": "b", "c": "c", "d": "d"}])},
    optional={
        "rules": st.lists(rules, max_size=4),
        "requires": st.just([{"flag": "base"}]),
        "holdout": st.just("h"),
        "group": st.just("g"),
        "unit": st.just("account"),
        "on_missing_unit": st.just("skip"),
        "salt": st.sampled_from(["other", "f"]),
        "enabled": st.booleans(),
        "rollout": st.just({"variant": "b"}),
        "description": st.just("another word"),
    },
).map(lambda one: {"default": "a", "safe": "c", **{key: item for key, item in one.items() if key != "unit" or "group" not in one}})
attributes = st.dictionaries(st.sampled_from(["plan", "app", "beta", "account"]), st.sampled_from(["pro", "x", "2.1.0", True]), max_size=3)


@given(flag, flag, st.lists(st.tuples(st.integers(0, 500), attributes), min_size=1, max_size=8), st.lists(st.integers(0, FULL), max_size=4))
@settings(max_examples=300, deadline=None)
def test_everybody_is_served_by_one_of_the_two_and_who_has_the_new_one_keeps_it(
    old: dict[str, Any], new: dict[str, Any], people: list[tuple[int, dict[str, Any]]], shares: list[int]
) -> None:
    """The new definition's very answer for the buckets below the share, the old one's for the others, at every share and by every way."""
    before, after, flags = client(old), client(new), client(old)
    change = edit(flags, new)
    if change.base == change.new:
        return
    unit = flags.definitions.flags["f"].unit if flags.definitions else None
    for share in sorted({0, *shares, FULL}):
        serve(flags, change, share)
        for user, given_ in people:
            who = Context(f"u{user}", given_)
            key = given_.get("account") if unit is not None and unit.groups else who.key
            picked = share == FULL or (type(key) is str and bucket("d", "f#1", key) < share)
            told = (after if picked else before).evaluate("f", None, who)
            answer = flags.evaluate("f", None, who)

            assert (answer.variant, answer.value, answer.reason, answer.error_code) == (
                told.variant,
                told.value,
                told.reason,
                told.error_code,
            )
            assert flags.get("f", "none", who) == (after if picked else before).get("f", "none", who)
            assert flags.explain("f", who).evaluation.replace(revision=0, value=None) == answer.replace(revision=0, value=None)
            step = flags.explain("f", who).steps[0]
            assert (share == 0) or (step.what, step.matched) == ("change", picked) or step.what == "context"
    assert not flags.edits.unserved()


OLD = {"rules": [{"when": 'plan == "pro"', "serve": "on"}]}
NEW = {"rules": [{"when": 'plan == "free"', "serve": "on"}], "safe": "on"}
PRO = [Context(f"u{n}", {"plan": "pro"}) for n in range(400)]


def served(flags: Client) -> int:
    return sum(flags.is_enabled("f", who) for who in PRO)


def test_the_brake_brings_back_the_old_definition_and_not_one_variant() -> None:
    """Whoever had `on` by the old rules has it again, and nobody is compared with anybody."""
    flags = client(OLD)
    heard: list[Exposed] = []
    flags.bus.listen(Exposed, heard.append)
    serve(flags, edit(flags, NEW), 500_000)
    assert 150 < served(flags) < 250
    heard.clear()
    flags.pin("f", 1, "it blew up")

    assert served(flags) == 400
    assert not heard
    assert "the brake holds here" in str(flags.explain("f", PRO[0]))
    with flags.override({"f": "off"}):
        assert served(flags) == 0
    serve(flags, edit(flags, NEW), 100_000, revision=2)
    assert served(flags) < 400


def test_a_kill_and_a_panic_are_above_both() -> None:
    """`safe` of the file's definition; of the new one, once that serves everybody."""
    flags = client(OLD)
    change = edit(flags, NEW)
    serve(flags, change, 500_000, killed=Killed("no", "ann", 0.0))
    assert served(flags) == 0
    serve(flags, change, FULL, killed=Killed("no", "ann", 0.0))
    assert served(flags) == 400
    serve(flags, change, 500_000)
    flags.panic()
    assert served(flags) == 0


def test_whoever_has_no_unit_keeps_the_old_definition_and_counts_for_nobody() -> None:
    """Nobody can be picked without one; rules without a share serve them all the same."""
    old, new = {"unit": "account", **OLD}, {"unit": "account", **NEW}
    flags = client(old)
    heard: list[Exposed] = []
    flags.bus.listen(Exposed, heard.append)
    serve(flags, edit(flags, new), 500_000)

    assert flags.is_enabled("f", Context("u", {"plan": "pro"}))
    assert not flags.is_enabled("f", Context("u", {"plan": "free"}))
    assert not heard
    assert "account is missing, so the old definition is served" in str(flags.explain("f", Context("u", {"plan": "pro"})))


def test_each_answer_is_noted_for_its_definition_whatever_it_is() -> None:
    """The arm is the definition, the variant the real one, and whoever the caller's default is left to is noted as well."""
    flags = client({**OLD, "holdout": "h"})
    new = {"rules": [{"when": 'plan == "pro"', "serve": "default()"}]}
    serve(flags, edit(flags, new), 500_000)
    met = set()
    for who in PRO:
        with bind(who) as scope:
            flags.evaluate("f", False, who)
            exposure = scope.exposures["f"]
            met.add((exposure.arm, exposure.variant, exposure.edited))
            assert (exposure.arm == "candidate") is (bucket("d", "f#1", str(who.key)) < 500_000)
    assert met == {("candidate", "default()", True), ("control", "on", True), ("control", "off", True)}


def test_a_prerequisite_of_either_side_is_asked_and_heard() -> None:
    """The new definition requires another flag: a kill of that one changes the answer, and so does a circle of two changes."""
    flags = client(OLD, gate={"percent": 100})
    new = {"requires": [{"flag": "gate"}], "percent": 100}
    change = edit(flags, new)
    live = Live("f", 1, FULL, run=1, edit=change)
    flags.install(live={"f": live})
    assert served(flags) == 400
    flags.install(live={"f": live, "gate": Live("gate", 2, killed=Killed())})
    assert served(flags) == 0

    assert flags.definitions is not None
    whole = {"flags": {"gate": {"requires": [{"flag": "f"}], "percent": 100}}}
    model = alone(whole, "gate", flags.definitions.flags, file="x")
    other = Edit.made(whole, imprint(flags.definitions.flags["gate"]), imprint(model))
    flags.install(live={"f": live, "gate": Live("gate", 3, FULL, run=1, edit=other)})
    assert served(flags) == 400  # by its old rules
    assert "in a circle" in " ".join(problem.message for problem in flags.edits.unserved())


def test_what_cannot_be_read_here_is_not_served_and_is_said() -> None:
    """Of another version, or without its prerequisite: the old definition answers, and nothing is raised."""
    flags = client(OLD)
    change = edit(flags, NEW)
    strange = {"flags": {"f": {"rules": [{"when": 'plan == "free"', "serve": "on", "from_the_future": 1}]}}}
    serve(flags, Edit.of({**change.to_json(), "definition": strange}), FULL)

    assert served(flags) == 400
    [problem] = flags.edits.unserved()
    assert problem.key == "flags.f"
    assert "from_the_future" in problem.message
    assert "can't be served" in str(problem) or "unknown key" in str(flags.explain("f", PRO[0]))


@pytest.mark.parametrize("share", [300_000, FULL])
@pytest.mark.parametrize("definition", [NEW, {"percent": 100}], ids=["the new one", "a third"])
def test_another_definition_in_the_file_takes_over_and_keeps_to_it(share: int, definition: dict[str, Any]) -> None:
    """At once, for everybody; and a file that goes back means the old one."""
    flags, alone_ = client(OLD), client(definition)
    change = edit(flags, NEW)
    serve(flags, change, share)
    flags.install(parse(document(definition)))
    assert served(flags) == served(alone_)
    assert [flags.evaluate("f", None, who).value for who in PRO] == [alone_.evaluate("f", None, who).value for who in PRO]
    assert "so the file's is served" in str(flags.explain("f", PRO[0]))

    flags.install(parse(document(OLD)))
    assert served(flags) == 400


def test_a_process_that_begins_after_the_file_had_moved_on_goes_by_its_file() -> None:
    """One that was there before goes on, until its own file says otherwise: old releases leave one by one."""
    old, new = client(OLD), client(OLD)
    change = edit(old, NEW)
    serve(old, change, FULL)
    landed = Edit.of({**change.to_json(), "landed": 1_800_000_000.5})
    serve(old, landed, FULL, revision=2)
    assert served(old) == 0
    new.clock.advance(1.0)  # type: ignore[attr-defined]
    serve(new, landed, FULL, revision=2)
    assert served(new) == 400


def test_a_view_that_was_kept_teaches_nobody_anything() -> None:
    """Under an override it is made anew, of what served before: that the file has been the old one all the while is still known."""
    flags = client(OLD, other={})
    view = flags.snapshot()
    change = edit(flags, NEW)
    serve(flags, change, FULL)
    flags.clock.advance(5.0)  # type: ignore[attr-defined]
    with view, flags.override({"other": "on"}):
        assert flags.is_enabled("other", "u")
        assert served(flags) == 400
    serve(flags, Edit.of({**change.to_json(), "landed": 1_800_000_001.0}), FULL, revision=2)
    assert served(flags) == 0

    kept = flags.snapshot()
    flags.install(parse(document({"percent": 100}, other={})))
    with kept, flags.override({"other": "on"}):
        assert served(flags) == 0
    flags.install(parse(document(OLD, other={})))
    assert served(flags) == 400


def test_what_speaks_of_a_flag_is_no_other_definition() -> None:
    """Owner, description, tags, names of rules and segments: the change goes on, and the text is the file's."""
    flags = client({"rules": [{"when": 'segment("s")', "serve": "on"}]})
    serve(flags, edit(flags, NEW), FULL)
    renamed = document({"owner": "shop", "description": "d", "rules": [{"name": "beta", "when": 'segment("s2")', "serve": "on"}]})
    flags.install(parse({**renamed, "segments": {"s2": {"when": "beta"}}}))
    assert flags.is_enabled("f", Context("u", {"plan": "free"}))


def test_the_document_says_to_others_what_the_file_would() -> None:
    """A progflags that knows of no changes finds where the flag's own rollout stands, and counts nothing."""
    flags = client(OLD)
    live = Live("f", 7, 40_000, counting=True, run=3, edit=edit(flags, NEW, share=990_000, variant="on"))
    body = live.body()

    assert (body["share"], body["variant"], body["counting"], body["run"]) == (990_000, "on", False, 3)

    class Document:
        key, revision = "flag/f", 7

        def __init__(self) -> None:
            self.body = json.loads(json.dumps(body))

    assert Live.of(Document()) == live
    for wrong in ({"edit": 5}, {"edit": {**body["edit"], "share": 2e6}}, {"edit": {**body["edit"], "definition": []}}):
        document_ = Document()
        document_.body |= wrong
        with pytest.raises(ValueError, match="flag/f: a change of definition"):
            Live.of(document_)


def test_a_rollout_of_its_own_stands_on_both_sides() -> None:
    """A flag whose rollout is done stays at what it delivered, by the old definition and by the new one."""
    old = {"rollout": {}, "rules": [{"when": 'plan == "x"', "serve": "off"}]}
    new = {"rollout": {}, "rules": [{"when": 'plan == "free"', "serve": "off"}]}
    flags = client(old)
    change = edit(flags, new, share=FULL, variant="on")
    for share in (0, 500_000, FULL):
        serve(flags, change, share)
        assert served(flags) == 400
        free = sum(flags.is_enabled("f", Context(f"u{n}", {"plan": "free"})) for n in range(400))
        assert {0: 400, FULL: 0}.get(share, free) == free


def test_a_flag_without_a_change_compiles_to_what_it_was() -> None:
    """The path of an evaluation is the same closure, whatever becomes of its neighbour."""
    flags = client(OLD, other={"percent": 20})
    flags.is_enabled("other", "u")
    compiled, function = flags._base.compiled["other"], flags._base.on["other"]
    serve(flags, edit(flags, NEW), 500_000)

    assert flags._base.compiled["other"] is compiled
    assert flags._base.on["other"] is function


def test_imprints_are_frozen() -> None:
    """Another version must find the same, or it would take every change that is under way for another file's."""
    golden = json.loads(GOLDEN.read_text())
    for case in golden["cases"]:
        found: FlagModel = parse(case["document"]).flags["f"]
        assert imprint(found) == case["imprint"], case["document"]
    assert len({case["imprint"] for case in golden["cases"]}) == len(golden["cases"])
