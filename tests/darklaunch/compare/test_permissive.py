"""What a rule allows: adding one never makes a difference, and a comparison says the same of (a, b) as of (b, a)."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.darklaunch import by_key, diff, ignore, normalize, opaque, subset, tolerance, unordered, within
from progflags.darklaunch.compare._comparison import Budget
from progflags.darklaunch.compare._rules import compile_rules
from support.sizes import size

ROOM = Budget(nodes=10_000_000, seconds=60.0)  # what is asked here is not what a busy machine has time for


def compared(a, b, *rules, **options):
    return diff(a, b, compile_rules(rules), budget=ROOM, **options)


def found(a, b, *rules, **options):
    said = compared(a, b, *rules, **options)
    assert not said.uncomparable
    assert not said.truncated
    return [(difference.path, difference.kind) for difference in said.differences]


def priced(*prices, **more):
    return [{"sku": sku, "price": price, **more} for sku, price in prices]


ONE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
TWO = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("control", "candidate", "rules"),
    [
        (priced(("a", 1.0), ("b", 2.0)), priced(("a", 1.001), ("b", 2.001)), [unordered("$"), tolerance("$[*].price", abs=0.01)]),
        (priced(("a", 1.0), ("b", 2.0)), priced(("b", 2.001), ("a", 1.001)), [unordered("$"), tolerance("$[*].price", abs=0.01)]),
        ([{"at": 10.0}, {"at": 20.0}], [{"at": 20.5}, {"at": 10.5}], [unordered("$"), within("$[*].at", 1)]),
        ([{"id": ONE, "n": 1}, {"id": ONE, "n": 2}], [{"id": TWO, "n": 2}, {"id": TWO, "n": 1}], [unordered("$"), opaque("$[*].id")]),
        ([{"a": 1}, {"b": 2}], [{"b": 2, "c": 3}, {"a": 1, "d": 4}], [unordered("$"), subset("$[*]")]),
        ([{"t": [1, 2]}, {"t": [3, 4]}], [{"t": [4, 3]}, {"t": [2, 1]}], [unordered("$"), unordered("$[*].t")]),
        (
            [{"t": priced(("a", 1), ("b", 2))}, {"t": []}],
            [{"t": []}, {"t": priced(("b", 2), ("a", 1))}],
            [unordered("$"), by_key("$[*].t", "sku")],
        ),
        ([{"t": {0.1, 7.0}}, {"t": set()}], [{"t": set()}, {"t": {0.1001, 7.0}}], [unordered("$"), tolerance("$[*].t", abs=0.01)]),
        ({0.1, 0.2, 0.3}, {0.1001, 0.2001, 0.3}, [tolerance("$", abs=0.01)]),
        ({("a", 1.0)}, {("a", 1.001)}, [tolerance("$", abs=0.01)]),
        ({0.1, "x"}, {0.1001, "x", "y"}, [tolerance("$", abs=0.01), subset("$")]),
        ([1, 0], [0, -1], [unordered("$"), tolerance("$", abs=1)]),  # the equal ones must not be paired with each other
        ([{"k": 1}, {"k": 0}], [{"k": 0}, {"k": -1}], [unordered("$"), tolerance("$", abs=1)]),
        ([{}, {"a": 1}], [{"a": 1, "b": 2}, {"c": 1}], [unordered("$"), subset("$[*]")]),
        ([{"sku": "A", "n": 1}], [{"sku": "a", "n": 1}], [by_key("$", "sku"), normalize("$[*].sku", str.lower)]),
        ([{"sku": ONE, "n": 1}], [{"sku": TWO, "n": 1}], [by_key("$", "sku"), opaque("$[*].sku")]),
        ([{"id": 1.0}, {"id": 2.0}], [{"id": 2.001}, {"id": 1.001}], [by_key("$", "id"), unordered("$"), tolerance("$[*].id", abs=0.01)]),
        ([{"k": 1, "n": 1}, {"k": 1, "n": 2}], [{"k": 1, "n": 2}, {"k": 1, "n": 1}], [by_key("$", "k")]),
        ([{"n": 1.0}], [{"n": 1.001}], [by_key("$", "k"), tolerance("$[*].n", abs=0.01)]),  # no key, and the same in order
        ([{"t": 1}, {"t": 2}], [{"t": 9}, {"t": 2}], [unordered("$"), ignore("$[0].t")]),
    ],
)
def test_elements_are_paired_by_every_rule_below_them(control, candidate, rules):
    assert found(control, candidate, *rules) == []
    assert found(copy.deepcopy(control), candidate, *reversed(rules)) == []


@pytest.mark.parametrize("elements", [[1, 2], [[1], [2]], [{"a": 1}, {"a": 2}], [(1, 2), (3,)]])
def test_in_a_bag_too_numbers_may_be_of_another_class_where_types_are_not_strict(elements):
    floats = {1: 1.0, 2: 2.0, 3: 3.0}

    def loose(value):
        if isinstance(value, dict):
            return {key: loose(each) for key, each in value.items()}
        return type(value)(map(loose, value)) if isinstance(value, (list, tuple)) else floats[value]

    assert found(elements, list(reversed(loose(elements))), unordered("$"), strict=False) == []
    assert found(elements, list(reversed(loose(elements))), unordered("$"), strict=True)


@pytest.mark.parametrize(
    ("control", "candidate", "rules", "expected"),
    [
        (priced(("a", 1.0), ("b", 2.0)), priced(("b", 2.001), ("a", 1.5)), [unordered("$"), tolerance("$[*].price", abs=0.01)], 1),
        ([1.0, 2.0, 3.0], [3.001, 1.001], [unordered("$"), tolerance("$", abs=0.01)], 1),
        ([1.0, 1.0], [1.0, 9.0], [unordered("$"), tolerance("$", abs=0.01)], 1),
        ({0.1, 0.2}, {0.1001, 0.9}, [tolerance("$", abs=0.01)], 2),
        ({1.0, 2.0}, {1.0}, [tolerance("$", abs=0.01), subset("$")], 1),
        ([{"k": 1, "n": 1}, {"k": 1, "n": 2}], [{"k": 1, "n": 2}, {"k": 1, "n": 3}], [by_key("$", "k")], 1),
    ],
)
def test_pairing_forgives_nothing_else(control, candidate, rules, expected):
    assert len(found(control, candidate, *rules)) == expected


def test_a_long_list_in_another_order_is_paired_within_the_default_budget():
    """By all that no rule forgives, and where that is nothing by how large they are."""
    ranked = [{"id": f"p{n}", "score": n / 7} for n in range(400)]
    sizes = [{"score": n / 7} for n in range(400)]
    rules = compile_rules([unordered("$"), tolerance("$[*].score", abs=0.01)])

    for control in (ranked, sizes):
        candidate = [{**row, "score": row["score"] + 0.001} for row in reversed(control)]
        assert diff(control, candidate, rules, budget=Budget(seconds=60.0)).same
        candidate[7]["score"] += 0.02
        assert [each.path for each in diff(control, candidate, rules, budget=Budget(seconds=60.0)).differences] == ["$[*].score"]


def test_a_bag_with_more_pairs_than_can_be_tried_is_uncomparable_and_says_so():
    """To call such a bag different would be a guess."""
    low = [{"n": n + 0.5} for n in range(400)]
    high = [{"n": -0.75}, *({"n": float(n)} for n in range(1, 400))]  # all could give way by one place, and one is too many
    rules = [unordered("$"), tolerance("$[*].n", abs=0.6)]

    said = compared(low, high, *rules)

    assert [why for _, why in said.uncomparable] == ["a bag of 400 and 400 elements has too many pairs to try"]
    assert not said.differences


# Whatever the documents and the rules.

LEAVES = st.sampled_from([0, 1, 2, 1.0, 1.4, 2.2, 0.6, "a", "b", ONE, TWO, True, None, math.nan])
SETS = st.frozensets(st.sampled_from([0.0, 0.4, 1.0, 1.4, 2.2, "a"]), max_size=3)
DOCUMENTS = st.recursive(
    LEAVES | SETS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abk"), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.sampled_from(["$", "$[*]", "$..a", "$..b", "$.a", "$.a[*]", "$[*].a", "$..*", "$[0]", "$[*].k"])
TOLERANCE = st.builds(lambda path: tolerance(path, abs=0.5), PATHS)
WITHIN = st.builds(lambda path: within(path, 0.5), PATHS)
MANY = {
    "ignore": st.builds(ignore, PATHS),
    "unordered": st.builds(unordered, PATHS),
    "by_key": st.builds(lambda path: by_key(path, "k"), PATHS),
    "opaque": st.builds(opaque, PATHS),
    "subset": st.builds(subset, PATHS),
}
ANY = st.one_of(TOLERANCE, WITHIN, *MANY.values())


def _altered(value: Any, draw: Any) -> Any:
    """`value`, told again with small changes: what a rule might allow, and what none does."""
    if isinstance(value, list):
        parts = [_altered(each, draw) for each in value]
        return draw(st.permutations(parts)) if draw(st.integers(0, 2)) == 0 else parts
    if isinstance(value, dict):
        extra = {"z": 0} if draw(st.integers(0, 9)) == 0 else {}
        return {key: _altered(each, draw) for key, each in reversed(list(value.items()))} | extra
    if isinstance(value, float) and draw(st.booleans()):
        return value + 0.4
    return draw(LEAVES) if draw(st.integers(0, 19)) == 0 and not isinstance(value, frozenset) else value


@st.composite
def two(draw):
    value = draw(DOCUMENTS)
    return value, _altered(value, draw)


def _kinds(rules):
    """Of tolerance and within the nearest wins, so a second one may narrow the first: at most one of each."""
    seen: set[str] = set()
    return [rule for rule in rules if rule.kind not in {"tolerance", "within"} or not (rule.kind in seen or seen.add(rule.kind))]


@settings(max_examples=size(300, full=1_000_000), deadline=None)
@given(two(), st.lists(ANY, max_size=3), ANY, st.booleans())
@pytest.mark.sized
def test_no_further_rule_makes_a_difference(documents, rules, further, strict):
    """What was the same is the same under one rule more, and where types are not strict."""
    a, b = documents
    before = _kinds(rules)

    if compared(a, b, *before, strict=strict).same:
        assert compared(a, b, *_kinds([*before, further]), strict=strict).same
        assert compared(a, b, *before, strict=False).same


@settings(max_examples=size(300, full=1_000_000), deadline=None)
@given(two(), st.lists(st.one_of(TOLERANCE, WITHIN, *(made for kind, made in MANY.items() if kind != "subset")), max_size=3), st.booleans())
@pytest.mark.sized
def test_a_comparison_is_symmetric_and_repeatable(documents, rules, strict):
    """`subset` is of one side, and left out."""
    a, b = documents
    there, back = compared(a, b, *_kinds(rules), strict=strict), compared(b, a, *_kinds(rules), strict=strict)

    assert there.same == back.same
    assert bool(there.differences) == bool(back.differences)
    assert compared(a, b, *_kinds(rules), strict=strict) == there
    assert compared(a, copy.deepcopy(a), *_kinds(rules), strict=strict).same


# Objects that know each other.


@dataclass
class Parent:
    name: str
    children: list = field(default_factory=list)


@dataclass
class Child:
    name: str
    parent: Any = None


@attrs.define(eq=True)
class Node:
    name: str
    next: Any = None


class Model(pydantic.BaseModel):
    name: str
    other: Any = None


def family(name):
    parent = Parent("p")
    parent.children = [Child(name, parent), Child("b", parent)]
    return parent


def ring(kind, link):
    def made(name):
        one, other = kind(name="x"), kind(name=name)
        setattr(one, link, other)
        setattr(other, link, one)
        return one

    return made


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (family, "$.children[*].name"),
        (ring(Node, "next"), "$.next.name"),
        (ring(Model, "other"), "$.other.name"),
        (ring(SimpleNamespace, "other"), "$.other.name"),
    ],
)
@pytest.mark.parametrize("rules", [[], [tolerance("$", abs=0.01)], [unordered("$..children")], [ignore("$..nothing")]])
def test_objects_that_hold_each_other_are_compared_once(made, path, rules):
    """Equal is equal, and one difference is one path, whatever rule goes round with it."""
    assert found(made("a"), made("a"), *rules) == []
    assert found(made("a"), made("other"), *rules) == [(path, "value")]
