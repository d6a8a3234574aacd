"""The diff: strict, bounded, and never an exception."""

import dataclasses
import datetime as dt
import json
import math
import sys
import time
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from enum import Enum

import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import progflags.darklaunch
from progflags.darklaunch import (
    Budget,
    by_key,
    compile_rules,
    ignore,
    normalize,
    opaque,
    register,
    subset,
    tolerance,
    unordered,
    within,
)
from progflags.darklaunch.compare._imprint import same as same_imprint
from progflags.darklaunch.compare.walk._columns import MANY
from support.sizes import size


def diff(a, b, rules=None, *, budget=Budget(seconds=60.0), **options):
    """With time to spare: what a test does not ask about does not depend on the machine's speed."""
    return progflags.darklaunch.diff(a, b, rules, budget=budget, **options)


def found(a, b, *rules, **options):
    return [(d.path, d.kind) for d in diff(a, b, compile_rules(rules), **options).differences]


def same(a, b, *rules, **options):
    return diff(a, b, compile_rules(rules), **options).same


@dataclasses.dataclass
class Price:
    net: float
    seen: int = dataclasses.field(default=0, compare=False)


@attrs.define
class Item:
    sku: str
    tags: list


class Order(pydantic.BaseModel):
    number: int
    lines: list


Point = namedtuple("Point", "x y")
Colour = Enum("Colour", "red blue")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 2, [("$", "value")]),
        (1, True, [("$", "type")]),
        (1, 1.0, [("$", "type")]),
        ("1", 1, [("$", "type")]),
        (None, 0, [("$", "type")]),
        (b"a", b"b", [("$", "value")]),
        ({"a": 1}, {"a": True}, [("$.a", "type")]),
        ({"a": 1}, {}, [("$.a", "missing")]),
        ({}, {"a": 1}, [("$.a", "extra")]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("$.a.b[*]", "value")]),
        ([1, 2], [1], [("$", "length")]),
        ([1, 2, 3], [3, 1, 2], [("$", "order")]),
        ([1], (1,), [("$", "type")]),
        ({1, 2}, {2, 3}, [("$[*]", "missing"), ("$[*]", "extra")]),
        (Price(1.0), Price(2.0), [("$.net", "value")]),
        (Item("a", [1]), Item("a", [2]), [("$.tags[*]", "value")]),
        (Order(number=1, lines=[1]), Order(number=1, lines=[2]), [("$.lines[*]", "value")]),
        (Point(1, 2), Point(1, 3), [("$.y", "value")]),
        (Point(1, 2), (1, 2), [("$", "type")]),
        (Colour.red, Colour.blue, [("$", "value")]),
        (Decimal("1.10"), Decimal("1.2"), [("$", "value")]),
        (NOW, NOW + dt.timedelta(seconds=1), [("$", "value")]),
        (NOW, NOW.replace(tzinfo=None), [("$", "value")]),
        ({"x": OrderedDict(a=1)}, {"x": {"a": 1}}, [("$.x", "type")]),
        ([b"a"], [bytearray(b"a")], [("$[*]", "type")]),
        ({"x": (1, [True])}, {"x": (1, [1])}, [("$.x[*][*]", "type")]),
        ({"user-12345": 1}, {"user-12345": 2}, [("${*}", "value")]),
        ({"a@b.example": 1}, {"a@b.example": 2}, [("${*}", "value")]),
    ],
)
def test_each_difference_has_a_path_and_a_kind(a, b, expected):
    assert sorted(found(a, b)) == sorted(expected)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (float("nan"), float("nan")),
        ({"a": [float("nan")]}, {"a": [float("nan")]}),
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        (Price(1.0, seen=1), Price(1.0, seen=2)),
        (NOW, NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (frozenset("ab"), frozenset("ba")),
        (Order(number=1, lines=[{"a": float("nan")}]), Order(number=1, lines=[{"a": float("nan")}])),
    ],
)
def test_equal_is_equal_however_it_came_about(a, b):
    assert same(a, b)


def test_lax_types_compare_by_value():
    assert same({"a": 1, "b": [1]}, {"a": 1.0, "b": (True,)}, strict=False)
    assert found({"a": 1}, {"a": 1.5}, strict=False) == [("$.a", "value")]


def test_a_map_with_many_keys_is_a_table_and_has_one_path():
    a = {f"k{chr(97 + i % 26)}{chr(97 + i // 26)}": i for i in range(60)}

    assert set(found(a, {key: value + 1 for key, value in a.items()})) == {("${*}", "value")}


@pytest.mark.parametrize(
    ("a", "b", "rules"),
    [
        ({"at": 1, "x": 1}, {"at": 2, "x": 1}, [ignore("$.at")]),
        ({"x": 1}, {"x": 1, "new": 2}, [ignore("$.new")]),
        ({"a": {"deep": {"id": 1}}}, {"a": {"deep": {"id": 2}}}, [ignore("$..id")]),
        ({"a": {"x": 1}, "b": {"x": 1}}, {"a": {"x": 2}, "b": {"x": 2}}, [ignore("$.*.x")]),
        ([1, 2], [9, 2], [ignore("$[0]")]),
        ({"a b": 1}, {"a b": 2}, [ignore("$['a b']")]),
        ({"t": 10.00}, {"t": 10.01}, [tolerance("$.t", abs=0.01)]),
        ({"t": Decimal("10.00")}, {"t": Decimal("10.01")}, [tolerance("$.t", abs="0.01")]),
        ({"t": 10}, {"t": 10.0}, [tolerance("$.t", abs=0.01)]),
        ({"a": [{"p": 100.0}]}, {"a": [{"p": 100.00001}]}, [tolerance("$", rel=1e-6)]),
        ({"p": math.inf}, {"p": math.inf}, [tolerance("$.p", abs=1)]),
        ({"at": NOW}, {"at": NOW + dt.timedelta(seconds=1)}, [within("$.at", 2)]),
        ({"at": NOW.isoformat()}, {"at": (NOW + dt.timedelta(seconds=1)).isoformat()}, [within("$.at", 2)]),
        ({"at": 1000.0}, {"at": 1001.5}, [within("$.at", 2)]),
        ({"id": str(uuid.uuid4())}, {"id": str(uuid.uuid4())}, [opaque("$.id")]),
        ({"id": "a" * 31 + "1"}, {"id": "b" * 31 + "2"}, [opaque("$.id")]),
        ({"t": ["a", "b", "b"]}, {"t": ["b", "a", "b"]}, [unordered("$.t")]),
        (
            {"t": [{"a": 1, "at": 1}, {"a": 2, "at": 2}]},
            {"t": [{"a": 2, "at": 3}, {"a": 1, "at": 4}]},
            [unordered("$.t"), ignore("$.t[*].at")],
        ),
        ({"t": [1.0, 2.0]}, {"t": [2.001, 1.001]}, [unordered("$.t"), tolerance("$.t", abs=0.01)]),
        ({"i": [{"sku": 1, "n": 1}, {"sku": 2, "n": 2}]}, {"i": [{"sku": 2, "n": 2}, {"sku": 1, "n": 1}]}, [by_key("$.i", "sku")]),
        ({"s": " A "}, {"s": "a"}, [normalize("$.s", lambda text: text.strip().lower())]),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, [subset("$.a")]),
        ({"a": {1}}, {"a": {1, 2}}, [subset("$.a")]),
        (Price(1.0), Price(1.001), [tolerance("$.net", abs=0.01)]),
    ],
)
def test_a_rule_lets_pass_what_it_says(a, b, rules):
    assert same(a, b, *rules), diff(a, b, compile_rules(rules))
    assert diff(a, b, compile_rules(rules)).used or same(a, b)


@pytest.mark.parametrize(
    ("a", "b", "rules", "expected"),
    [
        ({"t": 10.0}, {"t": 10.02}, [tolerance("$.t", abs=0.01)], [("$.t", "value")]),
        ({"t": 1}, {"t": True}, [tolerance("$.t", abs=1)], [("$.t", "type")]),
        ({"t": math.inf}, {"t": 1.0}, [tolerance("$.t", rel=0.5)], [("$.t", "value")]),
        ({"at": NOW}, {"at": NOW + dt.timedelta(seconds=3)}, [within("$.at", 2)], [("$.at", "value")]),
        ({"at": NOW}, {"at": NOW.replace(tzinfo=None)}, [within("$.at", 2)], [("$.at", "value")]),
        ({"id": str(uuid.uuid4())}, {"id": "none"}, [opaque("$.id")], [("$.id", "value")]),
        ({"t": ["a", "b"]}, {"t": ["a", "a"]}, [unordered("$.t")], [("$.t[*]", "value")]),
        ({"t": ["a", "b"]}, {"t": ["a"]}, [unordered("$.t")], [("$.t[*]", "missing")]),
        ({"i": [{"k": 1, "n": 1}]}, {"i": [{"k": 2, "n": 1}]}, [by_key("$.i", "k")], [("$.i[*]", "missing"), ("$.i[*]", "extra")]),
        ({"i": [{"k": 1, "n": 1}]}, {"i": [{"k": 1, "n": 2}]}, [by_key("$.i", "k")], [("$.i[*].n", "value")]),
        ({"a": {"x": 1}}, {"a": {}}, [subset("$.a")], [("$.a.x", "missing")]),
        ({"at": 1, "b": {"at": 1}}, {"at": 2, "b": {"at": 2}}, [ignore("$.at")], [("$.b.at", "value")]),
    ],
)
def test_and_nothing_more(a, b, rules, expected):
    assert sorted(found(a, b, *rules)) == sorted(expected)


@pytest.mark.parametrize("path", ["", "a", "a.b", "$.", "$..", "$[", "$[x]", "$.a..", "$ .a"])
def test_a_path_that_is_none_is_refused_when_written(path):
    with pytest.raises(ValueError, match="path"):
        ignore(path)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: tolerance("$"),
        lambda: tolerance("$", abs=-1),
        lambda: tolerance("$", abs="nan"),
        lambda: within("$", 0),
        lambda: by_key("$"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


class Hostile:
    def __eq__(self, other):
        raise RuntimeError

    __hash__ = None


class Plain:
    """Attributes and no `==`."""

    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize(
    "make",
    [
        Hostile,
        object,
        lambda: Plain(1),
        lambda: iter([1]),
        lambda: (i for i in range(3)),
        lambda: open(__file__),  # noqa: SIM115 - closed below
        type("Liar", (), {"__eq__": lambda self, other: [], "__hash__": None}),
        type("Exits", (), {"__eq__": lambda self, other: sys.exit(), "__hash__": None}),
    ],
)
def test_what_cannot_be_compared_is_said_to_be_neither_equal_nor_different(make):
    a, b = make(), make()
    result = diff({"a": a, "b": 1}, {"a": b, "b": 1})

    assert result.differences == ()
    assert [path for path, _ in result.uncomparable] == ["$.a"]
    for each in (a, b):
        if hasattr(each, "close"):
            each.close()


def test_an_iterator_is_not_used_up_by_looking():
    a, b = iter([1, 2]), iter([1, 2])
    diff(a, b)

    assert list(a) == list(b) == [1, 2]


def test_registered_types_are_compared_by_their_view():
    register(Plain, vars)
    try:
        assert found(Plain(1), Plain(2)) == [("$.x", "value")]
        assert same(Plain([1]), Plain([1]))
    finally:
        from progflags.darklaunch.compare import _views

        del _views._registered[f"{__name__}.Plain"]


def test_arrays_are_compared_by_shape_dtype_and_value():
    np = pytest.importorskip("numpy")

    assert same(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert found(np.zeros(2), np.zeros(3)) == [("$", "shape")]
    assert found(np.zeros(2), np.zeros(2, int)) == [("$", "dtype")]
    assert found({"a": np.zeros(2)}, {"a": np.ones(2)}) == [("$.a", "value")]
    assert found([np.array([1])], [np.array([5e-324])]) == [("$[*]", "dtype")]  # the same eight bytes
    assert found([np.zeros((2, 1))], [np.zeros(2)]) == [("$[*]", "shape")]
    assert same({"a": np.zeros(2)}, {"a": np.full(2, 0.001)}, tolerance("$.a", abs=0.01))


def _cycle():
    value = {"a": []}
    value["a"].append(value)
    return value


def _deep(n):
    value = 1
    for _ in range(n):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (_cycle(), _cycle()),
        (_deep(2_000), _deep(2_000)),
        (list(range(1_000_000)), [*range(999_999), -1]),
        ({"a": "x" * 50_000_000}, {"a": "x" * 49_999_999 + "y"}),
        ([[i] for i in range(100_000)], [[i + 1] for i in range(100_000)]),
        ({i: {i: i} for i in range(50_000)}, {i: {i: i + 1} for i in range(50_000)}),
    ],
    ids=["cycle", "deep", "million", "long text", "many differences", "many keys"],
)
def test_a_hostile_size_ends_at_the_budget(a, b):
    """It ends, soon, without an exception, and never calls unlike things alike. (The figure is 50 ms; CI machines get ten times that.)"""
    import tracemalloc

    tracemalloc.start()
    began = time.thread_time()
    result = diff(a, b)
    spent = time.thread_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert spent < 1.0
    assert peak < 16 << 20
    assert not result.same or ends_in_itself_or_is_deep(a)


def ends_in_itself_or_is_deep(a):
    """The two of these pairs that are equal."""
    return (isinstance(a, dict) and isinstance(a.get("a"), list)) or (isinstance(a, list) and len(a) == 1)


@pytest.mark.parametrize("make", [_cycle, lambda: _deep(2_000)], ids=["cycle", "deep"])
def test_neither_depth_nor_a_cycle_keeps_equal_values_from_being_equal(make):
    assert diff(make(), make(), budget=Budget(seconds=30.0)).same


def test_a_budget_that_ended_the_walk_is_said():
    assert diff([[1]] * 100, [[1.0]] * 100, budget=Budget(nodes=10)).truncated


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def _strictly(value):
    """A value's type-true text, NaN being one value and −0.0 being 0.0: what strict equality means."""
    if isinstance(value, float):
        return f"float {0.0 if value == 0 else value}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_strictly(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_strictly, value)) + "]"
    return f"{type(value).__name__} {value!r}"


@given(JSON, JSON)
def test_same_means_equal_in_value_and_type(a, b):
    assert diff(a, b).same == (_strictly(a) == _strictly(b))


KEYS = st.sampled_from(["a", "b", "c", 0, 1, 2.5])
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, 2, 300, -1, 1 << 70, 0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.nan])
    | st.sampled_from(
        ["", "1", "a", "é", "\ud800", "long enough" * 9, b"", b"1", bytearray(b"1"), frozenset(), frozenset({1}), {1}, {True}]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


def _retold(value, random):
    """The value built anew, and now and then with something Python's `==` would not notice."""
    odd = random.random() < 0.1
    if type(value) is dict:
        pairs = [(_retold(key, random), _retold(each, random)) for key, each in value.items()]
        return dict(pairs[::-1] if odd else pairs)
    if type(value) in {list, tuple}:
        return (tuple if odd else type(value))(_retold(each, random) for each in value)
    if type(value) in {set, frozenset}:
        return type(value)(_retold(each, random) for each in value)
    if isinstance(value, (int, float)) and odd and value == value and abs(value) < 1e9 and value == int(value):
        return random.choice([int, float, bool])(value)
    return random.choice([-value, math.nan, value + 0.25, 0.5]) if type(value) is float and odd else value


def _all_strictly(value):
    """As `_strictly`, for every builtin."""
    if type(value) in {list, tuple, set, frozenset}:
        parts = map(_all_strictly, value)
        return f"{type(value).__name__}({','.join(parts if type(value) in {list, tuple} else sorted(parts))})"
    if type(value) is dict:
        return "{" + ",".join(sorted(f"{_all_strictly(key)}:{_all_strictly(each)}" for key, each in value.items())) + "}"
    if type(value) is float:
        return f"float {0.0 if value == 0 else abs(value) if math.isnan(value) else value}"
    return f"{type(value).__name__} {value!r}"


@settings(max_examples=size(300, full=20_000))
@given(TREES, st.randoms(use_true_random=False))
@pytest.mark.sized
def test_the_fast_path_and_the_walk_are_of_one_mind(value, random):
    """Equal imprints are strictly equal values; and what diff says is what the walk alone would say."""
    other = _retold(value, random)
    equal = _all_strictly(value) == _all_strictly(other)

    assert equal or not same_imprint(value, other)
    assert diff(value, other).same == _walked(value, other).same == equal


ROWS = st.lists(TREES | st.dictionaries(KEYS, TREES, min_size=2), min_size=1, max_size=4)
RULES = st.lists(
    st.sampled_from(
        [
            *(tolerance("$[*].a", abs=0.5), tolerance("$..b", rel=0.5), tolerance("$..*", abs=1), within("$..c", 1), opaque("$..a")),
            *(ignore("$[*].b"), ignore("$..c"), ignore("$[1]"), subset("$[*]"), subset("$..a"), by_key("$[*].a", "b")),
            *(unordered("$"), unordered("$[*].b"), unordered("$..a"), normalize("$..b", str), normalize("$[*]", str)),
        ]
    ),
    max_size=3,
)


@settings(max_examples=size(120, full=20_000))
@given(ROWS, RULES, st.randoms(use_true_random=False))
@pytest.mark.sized
def test_columns_and_the_walk_are_of_one_mind(rows, rules, random):
    """Whatever the rules: what the columns prove, the walk finds to be the same, or can't tell (equal rows without their key)."""
    long = [random.choice(rows) for _ in range(MANY + random.randrange(9))]
    other = [_retold(row, random) for row in long]

    ours, walked = diff(long, other, compile_rules(rules)), _walked(long, other, compile_rules(rules))

    assert _read(ours.differences) == _read(walked.differences)
    assert ours.truncated == walked.truncated
    assert set(ours.uncomparable) <= set(walked.uncomparable)


@pytest.mark.parametrize(
    ("cell", "other", "expected"),
    [
        (math.nan, 1.0, [("$[*].a", "value")]),
        (1.0, math.nan, [("$[*].a", "value")]),
        (math.nan, -math.nan, []),
        (1, True, [("$[*].a", "type")]),
        ([1, 2], [1, 2, 3], [("$[*].a", "length")]),
        ({"x": 1}, {"y": 1}, [("$[*].a.x", "missing"), ("$[*].a.y", "extra")]),
        ({1: "x"}, {True: "x"}, [("$[*].a{*}", "type")]),
        (Colour.red, Colour.blue, [("$[*].a", "value")]),
        (Price(1.0), Price(2.0), [("$[*].a.net", "value")]),
        ([1, 2, 3], [2, 1, 3], [("$[*].a", "order")]),
        ([1, bytearray(b"x")], [2, bytearray(b"y")], [("$[*].a[*]", "value"), ("$[*].a[*]", "value")]),
    ],
)
def test_one_cell_among_many_is_found(cell, other, expected):
    rows = [{"n": n, "a": cell, "tags": ["t", None]} for n in range(3 * MANY)]
    others = [{**row, "tags": ["t", None]} for row in rows]
    others[17]["a"] = other

    assert found(rows, others) == expected


def test_a_table_of_records_is_compared_in_columns_too():
    """Keys that no rule names are under one state: a map from id to record is a table, and its cells are few to walk."""
    table = {f"id-{n}": {"price": n / 7, "tags": [n]} for n in range(200)}
    near = {key: {"price": row["price"] + 0.001, "tags": list(row["tags"])} for key, row in table.items()}

    assert same(table, near, tolerance("$.*.price", abs=0.01), budget=Budget(nodes=500, seconds=60.0))
    assert not same(table, near, tolerance("$.*.price", abs=0.01), tolerance("$.id-7.price", abs=0.0001))


def test_the_narrower_rule_wins():
    loose, tight = tolerance("$.*.price", abs=1), tolerance("$.book.price", abs=0.1)
    for rules in ((loose, tight), (tight, loose), (tolerance("$..price", abs=1), tight)):
        assert found({"book": {"price": 1.0}}, {"book": {"price": 1.5}}, *rules) == [("$.book.price", "value")]
        assert same({"pen": {"price": 1.0}}, {"pen": {"price": 1.5}}, *rules)


def _read(differences):
    return sorted((d.path, d.kind, repr(d.control), repr(d.candidate)) for d in differences)


def _walked(a, b, rules=None):
    """The comparison with the fast paths out of the way."""
    with pytest.MonkeyPatch.context() as patch:
        for file in ("_diff", "walk._walk"):
            patch.setattr(f"progflags.darklaunch.compare.{file}.same", lambda *_: False)
        for file in ("walk._walk", "walk._sequences"):
            patch.setattr(f"progflags.darklaunch.compare.{file}.MANY", math.inf)
        return diff(a, b, rules)


@pytest.mark.parametrize("holder", [lambda x: [x], lambda x: {"k": x}, lambda x: (x,), lambda x: {x: 1}, lambda x: [[{"k": (x,)}]]])
def test_the_fast_path_runs_no_code_of_the_values(holder):
    """Neither their reduction, state, equality, hash, nor length: a class of somebody else's ends it."""
    ran = []

    class Watching:
        def __getattribute__(self, name):
            ran.append(name)
            return object.__getattribute__(self, name)

        def __eq__(self, other):
            ran.append("==")
            return True

        def __reduce_ex__(self, protocol):
            ran.append("reduce")
            return (Watching, ())

    Watching.__hash__ = object.__hash__
    a, b = holder(Watching()), holder(Watching())

    assert not same_imprint(a, b)
    assert ran == []


def test_many_frozensets_do_not_confuse_the_fast_path():
    """CPython's pickler, in its fast mode, loses count at each one, and past fifty of them looks for what it has not kept."""
    value = [{"a": [frozenset({n}), {"b": (n, [None])}]} for n in range(200)]

    assert same(value, [{"a": [frozenset({n}), {"b": (n, [None])}]} for n in range(200)])
    assert found(value, [*value[:-1], {"a": []}]) == [("$[*].a", "length")]


def test_who_else_holds_a_value_does_not_matter():
    """A copy shares its texts with the original, a parsed document with nobody: both are the same to the fast path."""
    text = json.dumps([{"name": f"name {n}", "n": n, "x": n / 7} for n in range(20)])
    parsed = json.loads(text)

    assert same_imprint(parsed, [dict(each) for each in json.loads(text)])
    assert same_imprint(parsed, [dict(each) for each in parsed])


def test_the_fast_path_stops_when_its_time_is_up():
    big = list(range(100_000))
    assert same_imprint(big, list(big))
    assert not same_imprint(big, list(big), until=0.0)


@given(JSON)
def test_a_value_is_the_same_as_its_copy(value):
    copy = json.loads(json.dumps(value))
    assert same(value, copy)
    assert same([value, value], [copy, copy], unordered("$"))


@given(st.lists(JSON, max_size=6), st.randoms())
def test_an_unordered_list_equals_its_shuffles(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    assert same(items, shuffled, unordered("$"))


@given(JSON, JSON)
def test_ignoring_everything_leaves_nothing(a, b):
    assert same(a, b, ignore("$"))


@given(JSON, JSON)
def test_differences_do_not_depend_on_a_rule_that_speaks_of_nothing(a, b):
    """Rules make the walk ask at every path; the answers must not change."""
    assert sorted(found(a, b)) == sorted(found(a, b, ignore("$.no.such.path.anywhere"))) or "order" in {kind for _, kind in found(a, b)}
