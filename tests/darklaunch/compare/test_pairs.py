"""A million random pairs: equal is no difference and the reverse, the same from both sides and every time, and within its budget."""

from __future__ import annotations

import copy
import math
import pickle
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from progflags.darklaunch import diff
from progflags.darklaunch.compare import Budget
from support.sizes import size

ROOM = Budget(nodes=10_000_000, differences=1_000_000, seconds=60.0)
TIGHT = Budget(nodes=12, differences=2)
DEFAULT = Budget()
EACH = 50  # pairs of an example: a document beside another, and beside what became of it


@dataclass(eq=False)
class Thing:
    name: Any
    parts: Any


WHEN = datetime(2026, 1, 1, tzinfo=UTC)
LEAVES = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2, 10**30, 0.0, -0.0, 1.0, 0.1, math.nan, math.inf, -math.inf),
        *("", "a", "b", "1", "ä", "a" * 50, b"", b"a", b"1", bytearray(b"a")),
        *(Decimal(1), Decimal("1.0"), Decimal("NaN"), WHEN, WHEN.replace(year=2027), 1 + 2j),
    ]
)
KEYS = st.sampled_from(["a", "b", "c", "", 0, 1, True, 1.0, None, b"a"])
SETS = st.sets(st.sampled_from([0, 1, True, 1.0, "a", "b", b"a", None, 2.5]), max_size=4)
DOCUMENTS = st.recursive(
    LEAVES | SETS | SETS.map(frozenset),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(Thing, inner, inner),
    ),
    max_leaves=16,
)


def equal(a: Any, b: Any) -> bool:
    """What strict equality is, told once more and as plainly as can be."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return typed(a) == typed(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (set, frozenset)):
        return typed(a) == typed(b)
    if isinstance(a, Thing):
        return all(equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - a NaN is equal to a NaN


def typed(values: Any) -> set[Any]:
    return {(type(value), value) for value in values}


def altered(value: Any, random: Random, chance: float) -> Any:
    """`value` told again by other objects and in another order where order is none; here and there something else."""
    if random.random() < chance:
        return random.choice([None, True, 1, 1.0, "a", [], {}, [value], Decimal(1), -0.0, math.nan, copy.deepcopy(value)])
    if isinstance(value, (list, tuple)):
        parts = [altered(each, random, chance) for each in value]
        if parts and random.random() < chance:
            random.choice([parts.pop, parts.reverse, lambda: parts.append(parts[0])])()
        return type(value)(parts)
    if isinstance(value, dict):
        items = [(retyped(key, random, chance), altered(each, random, chance)) for key, each in value.items()]
        random.shuffle(items)
        return dict(items[1:] if random.random() < chance else items)
    if isinstance(value, (set, frozenset)):
        kept = random.sample(list(value), len(value) - (bool(value) and random.random() < chance))
        return type(value)(retyped(each, random, chance) for each in kept)
    if isinstance(value, Thing):
        return Thing(altered(value.name, random, chance), altered(value.parts, random, chance))
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - another NaN, which a copy is not


def retyped(key: Any, random: Random, chance: float) -> Any:
    """One that is the same to a dict, and of another class."""
    return random.choice([1, True, 1.0]) if key == 1 and random.random() < 3 * chance else key


MIRRORED = {"missing": "extra", "extra": "missing"}


def checked(a: Any, b: Any) -> None:
    said, back = diff(a, b, budget=ROOM), diff(b, a, budget=ROOM)
    assert said.same is equal(a, b)
    assert said.same is not bool(said.differences)
    assert (said.uncomparable, said.truncated) == ((), False)
    assert sorted((each.path, MIRRORED.get(each.kind, each.kind)) for each in back.differences) == sorted(places(said))
    assert places(diff(a, b, budget=ROOM)) == places(diff(copy.deepcopy(a), copy.deepcopy(b), budget=ROOM)) == places(said)

    little = diff(a, b, budget=TIGHT)
    assert len(little.differences) <= TIGHT.differences
    assert set(places(little)) <= set(places(said))
    assert said.same or not little.same
    assert little.same or little.truncated or little.differences

    began = time.thread_time()
    diff(a, b)
    assert time.thread_time() - began < DEFAULT.seconds + 0.5


def places(said: Any) -> list[tuple[str, str]]:
    return [(each.path, each.kind) for each in said.differences]


@pytest.mark.sized
def test_equal_is_no_difference_symmetric_deterministic_and_within_budget():
    """In runs of their own: Hypothesis remembers what it has tried, and would remember a million."""
    for number in range(size(1, full=10)):

        @seed(number)
        @settings(max_examples=size(40, full=2_000), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(DOCUMENTS, DOCUMENTS, st.integers(0, 1 << 32))
        def check(a, other, change):
            random = Random(change)  # Hypothesis draws the documents; drawing each change as well would take ten times as long
            checked(a, other)
            for _ in range(EACH - 1):
                checked(a, altered(a, random, random.choice([0.0, 0.02, 0.1, 0.3])))

        check()
