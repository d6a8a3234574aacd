"""The file format: strict, flag by flag, and every mistake named with file, line, key and what to do."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.errors import DefinitionError
from progflags.flags import FlagModel, Snapshot, decode_toml, json_schema, parse

WHOLE = Path(__file__).with_name("whole_format.toml")


def load(text: str, previous: Snapshot | None = None) -> Snapshot:
    document, lines = decode_toml(text, "f.toml")
    return parse(document, file="f.toml", lines=lines, previous=previous)


def said(text: str) -> list[str]:
    """What a person is told about a text, whether it is refused whole or in part."""
    try:
        return [str(problem) for problem in load(text).rejected]
    except DefinitionError as error:
        return [str(problem) for problem in error.problems]


def test_the_whole_format_loads_without_a_word() -> None:
    """Every part of the format at once: no problem, no warning."""
    document, lines = decode_toml(WHOLE.read_bytes(), "flags.toml")
    snapshot = parse(document, file="flags.toml", lines=lines)

    assert (snapshot.rejected, snapshot.warnings, snapshot.broken) == ((), (), frozenset())
    assert list(snapshot.flags) == ["new-ledger", "new-search", "search-limits", "checkout-flow", "checkout-copy", "new-checkout"]
    assert snapshot.retired == {"old-cart"}
    checkout = snapshot.flags["checkout-flow"]
    assert (checkout.owner, checkout.ticket, checkout.kind, checkout.salt) == ("payments", "PAY-812", "experiment", "checkout-2026")
    assert snapshot.flags["new-search"].expires == date(2027, 3, 1)
    assert checkout.slot
    assert (checkout.slot.start, checkout.slot.end) == (0, 500_000)
    rollout = snapshot.flags["new-checkout"].rollout
    assert rollout
    assert rollout.data["stages"][0]["gates"][0] == {"metric": "error_rate", "max": 0.001, "severity": "critical"}
    assert str(rollout.problem(("stages", 1, "bake"), "too short")) == "flags.toml:90: flags.new-checkout.rollout.stages[1].bake: too short"


def test_json_has_the_same_shape() -> None:
    """Dates become texts; everything else is as it is."""
    document, _ = decode_toml(WHOLE.read_bytes(), "flags.toml")
    again = json.loads(json.dumps(document, default=str))

    assert parse(again).flags == parse(document).flags


F = "[flags.a]\n"
S = F + 'variants = { x = "x", y = "y" }\ndefault = "x"\n'
CORPUS = [
    # the document
    ("", 'f.toml:1: there are no flags (write [flags.my-flag], or flags = {} for "none yet")'),
    ("schema = 2\n[flags]", "f.toml:1: schema: this progflags reads schema 1, not 2 (upgrade progflags, or write schema = 1)"),
    ("schema = true\n[flags]", "f.toml:1: schema: this progflags reads schema 1, not true (upgrade progflags, or write schema = 1)"),
    ("flag = 1\n[flags]", "f.toml:1: flag: unknown key 'flag' (did you mean 'flags'?)"),
    ("flags = 3", "f.toml:1: flags: a table is wanted here, not 3"),
    ("[flags]\n[segmets.x]\nwhen='a'", "f.toml:2: segmets: unknown key 'segmets' (did you mean 'segments'?)"),
    ("retired = 'x'\n[flags]", "f.toml:1: retired: a list is wanted here, not the text 'x'"),
    ("retired = ['x', 1]\n[flags]", "f.toml:1: retired[1]: a text is wanted here, not 1"),
    (
        "[flags]\n[context]\nplan = 'strng'",
        "f.toml:3: context.plan: one of str, int, float, number, bool, semver, ip, date, list is wanted here, not the text 'strng' (did you mean 'str'?)",
    ),  # noqa: E501
    # a flag
    ("[flags]\na = 1", "f.toml:2: flags.a: a table is wanted here, not 1"),
    ("[flags.'']", 'f.toml:1: flags."": a flag\'s key: a text is wanted here, not an empty text'),
    ("[flags.' a']", 'f.toml:1: flags." a": a flag\'s key: a name has 1 to 256 printable characters, none of them blank at either end'),
    (F + "percnt = 3", "f.toml:2: flags.a.percnt: unknown key 'percnt' (did you mean 'percent'?)"),
    (F + "percent = 101", "f.toml:2: flags.a.percent: a percentage is 0 to 100, not 101"),
    (F + "percent = -1", "f.toml:2: flags.a.percent: a percentage is 0 to 100, not -1"),
    (F + "percent = nan", "f.toml:2: flags.a.percent: a finite number is wanted here, not nan"),
    (F + "percent = inf", "f.toml:2: flags.a.percent: a finite number is wanted here, not inf"),
    (F + "percent = '25'", "f.toml:2: flags.a.percent: a finite number is wanted here, not the text '25'"),
    (F + "percent = true", "f.toml:2: flags.a.percent: a finite number is wanted here, not true"),
    (F + "percent = 0.00001", "f.toml:2: flags.a.percent: a percentage has at most 4 decimals, not 1e-05 (0.0001 is one in a million)"),
    (F + "owner = ''", "f.toml:2: flags.a.owner: a text is wanted here, not an empty text"),
    (
        F + "expires = 'soon'",
        "f.toml:2: flags.a.expires: a date is wanted here, not the text 'soon' (write 2027-03-01 (in JSON: as a text))",
    ),
    (
        F + "kind = 'release '",
        "f.toml:2: flags.a.kind: one of release, experiment, ops, permission is wanted here, not the text 'release ' (did you mean 'release'?)",
    ),  # noqa: E501
    (F + "type = 'string'", 'f.toml:1: flags.a.variants: a string flag says what its variants are (write variants = { a = "a", b = "b" })'),
    (F + "variants = {}", "f.toml:2: flags.a.variants: a flag has at least one variant"),
    (
        F + "variants = { x = 'x', y = 1 }",
        'f.toml:2: flags.a.variants: variants of different types: number, string (make them alike, or say type = "json")',
    ),  # noqa: E501
    (F + "variants = { x = 'x', y = nan }", "f.toml:2: flags.a.variants.y: a finite number is wanted here, not nan"),
    (F + "variants = { x = { k = [1, inf] } }", "f.toml:2: flags.a.variants.x.k[1]: a finite number is wanted here, not inf"),
    (
        F + "type = 'number'\nvariants = { x = 'x' }",
        "f.toml:3: flags.a.variants.x: a number is wanted here, not the text 'x' (the flag's type says so)",
    ),
    (F + "variants = { x = 'x', y = 'y' }", "f.toml:1: flags.a: 'default' is missing: the variant when no rule matched (known: x, y)"),
    (S.replace('"x"\n', '"z"\n'), "f.toml:3: flags.a.default: there is no variant 'z' (known: x, y)"),
    (S + "safe = 'xx'", "f.toml:4: flags.a.safe: there is no variant 'xx' (did you mean 'x'?)"),
    (
        S + "unit = 1",
        'f.toml:4: flags.a.unit: an attribute\'s name is wanted here, not 1 (write "account_id", ["org", "user"] or { first_of = ["user", "device"] })',
    ),
    (
        S + "unit = []",
        'f.toml:4: flags.a.unit: an attribute\'s name is wanted here, not an empty list (write "account_id", ["org", "user"] or { first_of = ["user", "device"] })',
    ),  # noqa: E501
    (S + "salt = ''", "f.toml:4: flags.a.salt: a text is wanted here, not an empty text"),
    # shares and splits
    (F + "split = { onn = 1 }", "f.toml:2: flags.a.split.onn: there is no variant 'onn' (did you mean 'on'?)"),
    (S + "split = { x = 0, y = 0 }", "f.toml:4: flags.a.split: the weights add to nothing (give at least one variant a weight above 0)"),
    (S + "split = { x = -1, y = 2 }", "f.toml:4: flags.a.split.x: a weight is 0 or more, not -1"),
    (S + "split = { x = nan }", "f.toml:4: flags.a.split.x: a finite number is wanted here, not nan"),
    (
        S + "split = {}",
        "f.toml:4: flags.a.split: a table of variant = weight is wanted here, not an empty table (write { fast = 1, faster = 1 })",
    ),
    (
        S + "split = { x = 1 }\nserve = 'y'",
        "f.toml:4: flags.a.split: 'serve' and 'split' at once (serve one variant, or split between several)",
    ),
    (
        S.replace('"y" }', '"y", z = "z" }') + "percent = 5",
        'f.toml:1: flags.a: does not say what it serves (add serve = "x" or "y" or "z", or split = { ... })',
    ),
    # rules
    (F + "rules = 1", "f.toml:2: flags.a.rules: a list is wanted here, not 1"),
    (F + "rules = [1]", "f.toml:2: flags.a.rules[0]: a table is wanted here, not 1"),
    (F + "[[flags.a.rules]]\nserve = 'onn'", "f.toml:3: flags.a.rules[0].serve: there is no variant 'onn' (did you mean 'on'?)"),
    (F + "[[flags.a.rules]]\nwhen = ''", "f.toml:3: flags.a.rules[0].when: an empty condition (leave `when` out to match everybody)"),
    (
        F + "[[flags.a.rules]]\nwhen = 'plan = \"pro\"'",
        "f.toml:3: flags.a.rules[0].when: can't read '= \"pro\"', column 6 (write == to compare)",
    ),
    (
        F + "[[flags.a.rules]]\nwhen = 'plan == pro'",
        'f.toml:3: flags.a.rules[0].when: compares two attributes, column 9 (put quotes around a text: "pro"; another attribute is attr("pro"))',
    ),
    (
        F + "[[flags.a.rules]]\nwhen = 'plan == \"pro\" app'",
        "f.toml:3: flags.a.rules[0].when: expected `and` or `or` before 'app', column 15",
    ),
    (
        F + "[[flags.a.rules]]\nwhen = 'app >= \"2.1.0\"'",
        'f.toml:3: flags.a.rules[0].when: \'>=\' orders numbers, versions and dates, not a text, column 8 (write semver("2.1.0") or date("2027-01-31"), or alphabetical(name) < "m")',
    ),  # noqa: E501
    (
        F + "[[flags.a.rules]]\nwhen = 'app >= semver(\"2.x\")'",
        "f.toml:3: flags.a.rules[0].when: '2.x' is not a version, column 8 (write semver(\"2.1.0\"))",
    ),
    (
        F + "[[flags.a.rules]]\nwhen = 'ip in cidr(\"10.0.0.0/99\")'",
        'f.toml:3: flags.a.rules[0].when: \'10.0.0.0/99\' does not appear to be an IPv4 or IPv6 network, column 7 (write "10.0.0.0/8" or "2001:db8::/32")',
    ),  # noqa: E501
    (
        F + "[[flags.a.rules]]\nwhen = 'segmnt(\"x\")'",
        "f.toml:3: flags.a.rules[0].when: unknown function 'segmnt', column 1 (did you mean 'segment'?)",
    ),
    (F + "[[flags.a.rules]]\nwhen = 'segment(\"x\")'", "f.toml:3: flags.a.rules[0].when: there is no segment 'x'"),
    (
        F + "[[flags.a.rules]]\nwhen = 'mail endwith \"x\"'",
        "f.toml:3: flags.a.rules[0].when: expected an operator before 'endwith', column 6 (did you mean 'endswith'?)",
    ),
    (
        F + "[[flags.a.rules]]\nwhen = { attribute = 'p', op = 'eq', value = 1 }",
        "f.toml:3: flags.a.rules[0].when.op: there is no operator the text 'eq' (write '==')",
    ),
    (F + "[[flags.a.rules]]\nwhen = { any = [] }", "f.toml:3: flags.a.rules[0].when.any: 'any' wants a list of conditions"),
    (
        F + "[[flags.a.rules]]\nwhen = { all = [{ atribute = 'p' }] }",
        "f.toml:3: flags.a.rules[0].when.all[0]: a condition's table has all, any, not, segment or attribute (did you mean 'attribute'?)",
    ),  # noqa: E501
    (
        F + "[[flags.a.rules]]\nwhen = { attribute = 'p', op = 'in', value = 'x' }",
        'f.toml:3: flags.a.rules[0].when.value: \'in\' wants a list (write in ["a", "b"])',
    ),
    (F + "[[flags.a.rules]]\nfrom = 2027-01-02\nuntil = 2027-01-01", "f.toml:4: flags.a.rules[0].until: 'until' is not after 'from'"),
    (
        F + "[[flags.a.rules]]\nfrom = 'tomorrow'",
        "f.toml:3: flags.a.rules[0].from: a date or time is wanted here, not the text 'tomorrow' (write 2027-03-01T09:00:00Z)",
    ),
    (F + "ramp = { from = 2027-01-02 }", "f.toml:2: flags.a.ramp: 'until' is missing"),
    (
        F + "percent = 5\nramp = { from = 2027-01-02, until = 2027-01-03 }",
        "f.toml:2: flags.a.percent: 'percent' and 'ramp' at once (the ramp's `end` is the percentage it reaches)",
    ),  # noqa: E501
    # what hangs together
    (F + "requires = [{ flag = 'b' }]", "f.toml:2: flags.a.requires[0].flag: there is no flag 'b' (known: a)"),
    (F + "requires = [{ flag = 'a' }]", "f.toml:2: flags.a.requires: the prerequisites go in a circle: a → a (take one of them out)"),
    (
        F + "requires = [{ flag = 'b' }]\n[flags.b]\nrequires = [{ flag = 'a' }]",
        "f.toml:2: flags.a.requires: the prerequisites go in a circle: a → b → a (take one of them out)",
    ),  # noqa: E501
    (
        F + "requires = [{ flag = 'b', is = 'onn' }]\n[flags.b]",
        "f.toml:2: flags.a.requires[0].is: flag 'b' has no variant 'onn' (did you mean 'on'?)",
    ),
    (F + "requires = [{ is = 'on' }]", "f.toml:2: flags.a.requires[0]: 'flag' is missing"),
    (F + "group = 'g'", "f.toml:2: flags.a.group: there is no group 'g'"),
    (
        F + "group = 'g'\n[groups.g]\nslots = { b = 5 }\n[flags.b]\ngroup = 'g'",
        "f.toml:2: flags.a.group: group 'g' has no slot for this flag (add it to groups.g.slots)",
    ),
    (
        F + "group = 'g'\n[groups.g]\nslots = { a = 50, b = 51 }\n[flags.b]\ngroup = 'g'",
        "f.toml:4: groups.g.slots: the slots add to 101 %, which is more than 100 %",
    ),
    (F + "group = 'g'\n[groups.g]\nslots = { a = 50, b = 5 }", "f.toml:4: groups.g.slots.b: there is no flag 'b' (known: a)"),
    (
        F + "group = 'g'\nunit = 'org'\n[groups.g]\nslots = { a = 50 }",
        "f.toml:3: flags.a.unit: this flag buckets by org, its group by the targeting key; the same units would be in and out (give both the same unit)",
    ),  # noqa: E501
    (F + "holdout = 'h'", "f.toml:2: flags.a.holdout: there is no holdout 'h'"),
    (F + "holdout = 'h'\n[holdouts.h]\npercent = 200", "f.toml:4: holdouts.h.percent: a percentage is 0 to 100, not 200"),
    (
        "[flags]\n[segments.s]\nwhen = 'segment(\"s\")'",
        "f.toml:3: segments.s.when: the segments go in a circle: s → s (take one of them out)",
    ),
    ("[flags]\n[segments.s]\nwhn = 'x'", "f.toml:3: segments.s.whn: unknown key 'whn' (did you mean 'when'?)"),
    # rollouts
    (
        F + "percent = 5\n[flags.a.rollout]",
        "f.toml:2: flags.a.percent: 'percent' beside 'rollout' (the rollout's share is live state: take one of the two out)",
    ),
    (F + "[flags.a.rollout]\nwach = '1h'", "f.toml:3: flags.a.rollout.wach: unknown key 'wach' (did you mean 'watch'?)"),
    (
        F + "[flags.a.rollout]\nwatch = '1'",
        'f.toml:3: flags.a.rollout.watch: \'1\' is no duration (write a number and a unit, as in "30s", "15m", "4h" or "1d")',
    ),
    (
        F + "[flags.a.rollout]\nwatch = 3600",
        'f.toml:3: flags.a.rollout.watch: a duration is wanted here, not 3600 (write a number and a unit, as in "30s", "15m", "4h" or "1d")',
    ),  # noqa: E501
    (
        F + "[[flags.a.rollout.stages]]\npercent = 5\ngates = [{ max = 1 }]",
        "f.toml:4: flags.a.rollout.stages[0].gates[0]: 'metric' is missing",
    ),
    (
        F + "[[flags.a.rollout.stages]]\npercent = 5\ngates = [{ metric = 'x', maxx = 1 }]",
        "f.toml:4: flags.a.rollout.stages[0].gates[0].maxx: unknown key 'maxx' (did you mean 'max'?)",
    ),
    (F + "[[flags.a.rollout.stages]]\nbake = '1m'", "f.toml:2: flags.a.rollout.stages[0]: 'percent' is missing"),
    (
        F + "[flags.a.rollout]\non_insufficient = 'stop'",
        "f.toml:3: flags.a.rollout.on_insufficient: one of hold, rollback is wanted here, not the text 'stop' (known: hold, rollback)",
    ),
    (
        S.replace('"y" }', '"y", z = "z" }') + "[flags.a.rollout]",
        'f.toml:4: flags.a.rollout: which variant is the candidate? (add variant = "x" or "y" or "z")',
    ),
    (S + "[flags.a.rollout]\nvariant = 'x'", "f.toml:5: flags.a.rollout.variant: the candidate is the default itself (known: x, y)"),
]


@pytest.mark.parametrize(("text", "message"), CORPUS)
def test_a_mistake_names_file_line_and_key(text: str, message: str) -> None:
    """Golden messages: what a person sees who mistyped."""
    assert message in said(text)


def test_a_segments_mistake_reaches_the_flags_that_use_it() -> None:
    """They can't be judged without it; others can."""
    problems = said(F + "[[flags.a.rules]]\nwhen = 'segment(\"s\")'\n[segments.s]\nwhen = 'x =='\n[flags.b]\npercent = 3")

    assert [problem.split(": ", 2)[1] for problem in problems] == ["segments.s.when", "flags.a.rules[0].when"]


def test_keys_of_ones_own_pass_unread() -> None:
    """`x-` keys are the author's."""
    assert said("x-note = 1\n[flags.a]\nx-jira = ['A-1']\npercent = 5\n[[flags.a.rules]]\nx-y = {}\nserve = 'on'") == []


# ── flag by flag ───────────────────────────────────────────────────────────

GOOD = "[flags.a]\npercent = 10\n[flags.b]\npercent = 20\n"


def test_a_bad_flag_keeps_its_own_last_known_good() -> None:
    """One team's typo never blocks another team's change."""
    before = load(GOOD)
    after = load(GOOD.replace("10", "'10'").replace("20", "100"), before)

    assert after.flags["a"] == before.flags["a"]
    assert after.flags["b"].rules[0].share == 1_000_000
    assert [problem.key for problem in after.rejected] == ["flags.a.percent"]
    assert after.broken == frozenset()


def test_a_flag_that_never_was_good_is_broken() -> None:
    """It has no definition to fall back on, and says so."""
    snapshot = load(GOOD.replace("10", "'10'"))

    assert "a" not in snapshot.flags
    assert snapshot.broken == {"a"}


def test_the_last_known_good_survives_many_bad_documents() -> None:
    """Bad, bad, good: the definition of the first good one stands until the next."""
    snapshot = load(GOOD)
    for _ in range(3):
        snapshot = load(GOOD.replace("10", "'10'"), snapshot)
        assert snapshot.flags["a"].rules[0].share == 100_000
    assert load(GOOD.replace("10", "11"), snapshot).flags["a"].rules[0].share == 110_000


def test_a_retired_key_may_not_come_back_with_another_type() -> None:
    """Somewhere old code still asks for it."""
    before = load('[flags.cart]\nvariants = { a = "a" }\ndefault = "a"\n[flags.b]')
    retired = load('retired = ["cart"]\n[flags.b]', before)
    again = load('retired = ["cart"]\n[flags.cart]\npercent = 1', retired)

    assert retired.types == {"cart": "string"}
    assert [str(problem) for problem in again.rejected] == [
        "f.toml:2: flags.cart: 'cart' was retired as a string flag and can't come back as boolean (give it another key)"
    ]
    assert not load('retired = ["cart"]\n[flags.cart]\nvariants = { z = "z" }', retired).rejected


def test_a_chain_of_prerequisites_has_an_end() -> None:
    """A thousand of them are refused, not recursed into."""
    document: dict[str, Any] = {f"f{i}": {"requires": [{"flag": f"f{i + 1}"}]} for i in range(1000)}
    snapshot = parse({"flags": {**document, "f1000": {}}})

    assert 0 < len(snapshot.rejected) < 1000
    assert all("chain" in problem.message for problem in snapshot.rejected)
    assert "f1000" in snapshot.flags


def test_too_many_flags_are_refused() -> None:
    """Fifty thousand are read."""
    with pytest.raises(DefinitionError, match="50,001 flags; at most 50,000"):
        parse({"flags": {f"f{i}": {} for i in range(50_001)}})


# ── sweeps ─────────────────────────────────────────────────────────────────


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


NOTHINGS: list[Any] = [None, "", [], {}, 0, -1, True, 10**400, float("nan"), float("inf"), "x", [[]], {"": None}, "\ud800"]


def test_any_nothing_in_any_place_is_valid_or_reported() -> None:
    """null, "", [], {}, 0, -1, true, 10^400, NaN … in place of every node of the whole format: nothing escapes."""
    document, _ = decode_toml(WHOLE.read_bytes(), "flags.toml")
    refused, pickled = 0, pickle.dumps(document)
    for path in places(document):
        for nothing in NOTHINGS:
            changed: Any = nothing
            if path:
                changed = pickle.loads(pickled)
                spot = changed
                for key in path[:-1]:
                    spot = spot[key]
                spot[path[-1]] = nothing
            try:
                snapshot = parse(changed)
            except DefinitionError as error:
                assert error.problems  # noqa: PT017
                refused += 1
            else:
                assert snapshot.broken <= set(changed["flags"])
                assert bool(snapshot.rejected) or not snapshot.broken
    assert refused


words = st.sampled_from(
    [
        "percent",
        "rules",
        "when",
        "serve",
        "split",
        "variants",
        "default",
        "requires",
        "group",
        "flag",
        "on",
        "off",
        "unit",
        "rollout",
        "stages",
        "all",
        "not",
    ]
)  # noqa: E501
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=3), inner, max_size=4), max_leaves=12
)


@given(
    st.dictionaries(st.sampled_from(["flags", "segments", "groups", "holdouts", "context", "retired", "schema"]), junk, max_size=4),
    junk,
    junk,
)
def test_any_document_is_a_snapshot_or_a_definition_error(document: dict[str, Any], flag: Any, rule: Any) -> None:
    """Nothing else escapes, and what loads can be used."""
    for candidate in (document, {"flags": {"a": flag, "b": {"rules": [rule, {"when": rule}]}}}):
        try:
            snapshot = parse(candidate)
        except DefinitionError:
            continue
        assert all(isinstance(flag, FlagModel) and flag.default in flag.variants for flag in snapshot.flags.values())


def test_the_schema_is_generated_from_the_same_table() -> None:
    """What an editor accepts, the loader does: the example is valid by both, a misspelling by neither."""
    jsonschema = pytest.importorskip("jsonschema")
    document, _ = decode_toml(WHOLE.read_bytes(), "flags.toml")
    plain = json.loads(json.dumps(document, default=str))
    validator = jsonschema.Draft202012Validator(json_schema())

    assert not list(validator.iter_errors(plain))
    plain["flags"]["new-search"]["percnt"] = 3
    assert list(validator.iter_errors(plain))


def test_a_dict_that_never_was_text_is_valid_or_reported() -> None:
    """Keys that are no texts, tables that contain themselves, tables without an end."""
    circle: dict[str, Any] = {}
    circle["x-self"] = circle
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"x-in": deep}
    odd = {1: 2, "a": 3, (1, 2): 4, None: 5, 10**5000: 6}
    for strange in (circle, deep, odd):
        for place in ("flag", "variants", "rollout", "when", "x-note"):
            flag = strange if place == "flag" else {place: strange}
            snapshot = parse({"flags": {"a": flag, "b": {"rules": [{"when": strange}, strange]}}})
            assert snapshot.digest
            assert "b" in snapshot.broken
    with pytest.raises(DefinitionError):
        parse(odd)  # type: ignore[arg-type]


def test_equal_documents_have_equal_digests() -> None:
    """The order of keys does not matter to whether anything changed; a value does."""
    assert load(GOOD).digest == load("[flags.b]\npercent = 20\n[flags.a]\npercent = 10\n").digest
    assert load(GOOD).digest != load(GOOD.replace("20", "21")).digest


@pytest.mark.parametrize("key", [None, 1, 1.5, True, (1,), b"x"])
def test_a_key_that_is_no_text_is_named(key: Any) -> None:
    """A dict that never was a file may have any; what is beside it loads."""
    snapshot = parse({"flags": {key: {}, "good": {}, "asks": {"requires": [{"flag": "god"}]}}})
    assert "a text is wanted here" in str(snapshot.rejected[0])
    assert "did you mean 'good'?" in str(snapshot.rejected[1])
    assert snapshot.flags.keys() == {"good"}
    assert "unknown key 'wen'" in str(parse({"flags": {}, "segments": {key: {"wen": 1}}}).rejected[0])


@pytest.mark.parametrize("value", ["\ud83d", {"k": "\ude00"}, ["\ud800"], {"\udfff": 1}])
def test_half_a_character_is_no_value(value: Any) -> None:
    """JSON can write it, and no answer over a wire could carry it: one such flag would spoil every bulk answer."""
    snapshot = parse({"flags": {"f": {"variants": {"a": value}}, "good": {"variants": {"a": "\U0001f600 ü"}}}})
    assert "half a character" in str(snapshot.rejected[0])
    assert snapshot.flags.keys() == {"good"}
