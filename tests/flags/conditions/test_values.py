"""Values people really pass: each counts by its one exact meaning, or is named; explanation and answer agree; nothing raises."""

from __future__ import annotations

import ipaddress
import random
import re
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.support.sizes import size

import progflags as pf
from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.flags.conditions._tree import tree
from progflags.testing import ManualClock


class Foo:
    pass


class Plan(Enum):
    PRO = "pro"
    FREE = "free"


class Tier(StrEnum):
    PRO = "pro"


class Level(IntEnum):
    HIGH = 150


class Price(Enum):
    HIGH = Decimal("150.00")


class Right(Flag):
    READ = 1


class Money(Decimal):
    """A price with manners of its own."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("not asked")

    __lt__ = __le__ = __gt__ = __ge__ = __eq__  # type: ignore[assignment]
    __hash__ = Decimal.__hash__


UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def holds(condition: str, value: Any) -> bool:
    node = tree(condition)
    answer = node.compile()(b"u", {"x": value})
    assert node.why(b"u", {"x": value})[0] is answer
    return answer


def client(*conditions: str, **document: Any) -> Client:
    made = Client(bus=Bus(), clock=ManualClock())
    made.install(parse({"flags": {f"f{n}": {"rules": [{"when": when}]} for n, when in enumerate(conditions)}, **document}))
    return made


@pytest.mark.parametrize(
    ("condition", "value", "answer"),
    [
        # Decimal and Fraction: exactly, against the number as it is written in the file
        ("x >= 100", Decimal("150.00"), True),
        ("x >= 100", Decimal("99.99"), False),
        ("x == 150", Decimal("150.00"), True),
        ("x != 150", Decimal("150.00"), False),
        ("x != 150", Decimal("150.01"), True),
        ("x == 0.1", Decimal("0.10"), True),
        ("x >= 0.1", Decimal("0.1"), True),
        ("x == 0.1", Fraction(1, 10), True),
        ("x < 0.1", Decimal("0.0999999999999999999999999999999999999"), True),
        ("x == 0.1", 0.1, True),
        ("x > 9007199254740992", Decimal("9007199254740992.5"), True),
        ("x in [1, 150]", Decimal("150.00"), True),
        ("x in [0.1, 3]", Decimal("0.1"), True),
        ("x not in [0.1, 3]", Decimal("0.1"), False),
        ("x not in [0.1, 3]", Fraction(1, 3), True),
        ("x > 5", Decimal("Infinity"), True),
        ("x > 5", Decimal("1E+999999999"), True),
        ("x in [5]", Decimal("1E+999999999"), False),
        ("x >= 100", Money("150"), True),
        ("x in [150]", Money("150"), True),
        ("x overlaps [150]", [Decimal(150)], True),
        ("x contains 150", (Money(150), "a"), True),
        *[
            (condition, value, False)
            for condition in ("x == 5", "x != 5", "x < 5", "x > 5", "x in [5]", "x not in [5]")
            for value in (float("nan"), Decimal("NaN"), Decimal("sNaN"), np.float64("nan"), np.float32("nan"))
        ],
        # numpy
        ("x >= 100", np.int64(150), True),
        ("x == 150", np.uint8(150), True),
        ("x in [150]", np.int16(150), True),
        ("x not in [150]", np.int16(151), True),
        ("x > 0.5", np.float32(0.75), True),
        ("x == 0.1", np.float32(0.1), False),
        ("x == 0.5", np.float16(0.5), True),
        ("x == 0.1", np.float64(0.1), True),
        ("x == 0.1", np.longdouble(0.1), True),
        ("x > 0.1", np.longdouble(0.1) + np.finfo(np.longdouble).eps, True),
        ("x", np.bool_(True), True),
        ("x", np.bool_(False), False),
        ("x != true", np.bool_(False), True),
        ("x == 1", np.bool_(True), False),
        ("x == true", np.int64(1), False),
        ('x == "pro"', np.str_("pro"), True),
        ("x == 5", np.timedelta64(5, "s"), False),
        ('x == date("2027-01-01")', np.datetime64("2027-01-01"), True),
        ('x < date("2027-01-01")', np.datetime64("2026-12-31T23:59:59.999999999", "ns"), True),
        ('x != date("2027-01-01")', np.datetime64("NaT", "s"), False),
        ('x != date("2027-01-01")', np.datetime64(10**12, "Y"), False),
        ("x contains 3", np.array([1, 2, 3]), True),
        ("x overlaps [4]", np.array([1, 2, 3]), False),
        ("x contains 3", np.array([[1, 2, 3]]), False),
        # Enum, UUID, addresses
        ('x == "pro"', Plan.PRO, True),
        ('x != "pro"', Plan.PRO, False),
        ('x in ["pro", "team"]', Plan.PRO, True),
        ('x not in ["pro", "team"]', Plan.FREE, True),
        ('x startswith "p"', Plan.PRO, True),
        ('x matches "p*"', Plan.PRO, True),
        ('x == "pro"', Tier.PRO, True),
        ("x == 150", Level.HIGH, True),
        ("x >= 100", Price.HIGH, True),
        ("x == 1", Right.READ, True),
        ('x contains "pro"', {Plan.PRO}, True),
        (f'x == "{UUID}"', uuid.UUID(UUID), True),
        (f'x in ["{UUID}"]', uuid.UUID(UUID), True),
        ('x in cidr("10.0.0.0/8")', ipaddress.ip_address("10.1.2.3"), True),
        ('x not in cidr("10.0.0.0/8")', ipaddress.ip_address("11.1.2.3"), True),
        ('x in cidr("2001:db8::/32")', ipaddress.ip_address("2001:db8::1"), True),
        # dates: of every family, and seconds since the epoch
        ('x >= date("2027-01-01")', 1_798_761_600, True),
        ('x >= date("2027-01-01")', 1_798_761_599.5, False),
        ('x == date("2027-01-01")', Decimal(1_798_761_600), True),
        ('x == date("2027-01-01")', np.int64(1_798_761_600), True),
        ('x in [date("2027-01-01")]', 1_798_761_600, True),
        ('x >= date("2027-01-01")', 1_798_761_600_000, False),
        ('x < date("2027-01-01")', 1_798_761_600_000, False),
        ('x >= date("1970-01-01")', True, False),
        ('x == date("2027-01-01")', date(2027, 1, 1), True),
        ('x == date("2027-01-01")', datetime(2027, 1, 1), True),
        ('x == date("2027-01-01")', datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), True),
        ('x == date("2027-01-01")', time(0), False),
        # lists of every family
        ('x contains "a"', deque(["a"]), True),
        ('x contains "a"', namedtuple("T", "x")("a"), True),
        ('x contains "a"', frozenset("a"), True),
        # versions: text only
        ('x >= semver("1.0.0")', "1.2.3.4", True),
        ('x < semver("1.0.0")', "1.2.3.4", False),
        ('x >= semver("1.0.0")', (1, 2, 3), False),
        # nobody can say
        ('x == "Foo"', Foo, False),
        ('x == "pro"', b"pro", False),
        ('x != "pro"', b"pro", False),
        ('x not in ["pro"]', b"pro", False),
        ("not (x > 5)", Foo(), True),
    ],
)
def test_a_value_counts_by_its_one_exact_meaning(condition: str, value: Any, answer: bool) -> None:
    """Whatever class it comes in; and where there is none, it matches nothing, neither with a negated operator."""
    assert holds(condition, value) is answer


def test_no_setting_of_decimal_changes_an_answer() -> None:
    """A caller's context may trap mixtures with floats, or round to two digits."""
    with localcontext() as context:
        context.prec = 2
        context.traps = dict.fromkeys(context.traps, True)
        assert holds("x == 0.125", Decimal("0.125"))
        assert holds("x in [0.125]", Decimal("0.125"))
        assert not holds("x in [0.125]", Decimal("0.13"))
        assert not holds("x > 5", Decimal("sNaN"))


def test_a_nested_read_only_table_is_followed_and_anything_else_is_named() -> None:
    """`user.plan` of a mapping proxy; of an object there is no such thing, and the explanation says what stands there."""
    flags = client('user.plan == "pro"')
    assert flags.is_enabled("f0", Context("u", {"user": MappingProxyType({"plan": "pro"})}))
    told = str(flags.explain("f0", Context("u", {"user": SimpleNamespace(plan="pro")})))
    assert "user.plan is missing, for user is a SimpleNamespace and no table" in told


@pytest.mark.parametrize(
    ("condition", "value", "told"),
    [
        ("price >= 100", Foo(), "price >= 100 is not so: price is not compared: a Foo"),
        ('price >= semver("1.0.0")', "1.2.x", "price is '1.2.x', not compared: not a semantic version"),
        ('price >= semver("1.0.0")', 2.5, "price is 2.5, not compared: a float, where a version is wanted"),
        ('price < date("2027-01-01")', "soon", "price is 'soon', not compared: not a date in ISO 8601"),
        ('price < date("2027-01-01")', 1_798_761_600_000, "too large for seconds since 1970: are these milliseconds?"),
        ('price in cidr("10.0.0.0/8")', "home", "price is 'home', not compared: not an IP address"),
        ("price > 5", Decimal("NaN"), "price is NaN, not compared: NaN, which is no number"),
        ("price > 5", "7", "price is '7', not compared: a text, where a number is wanted"),
        ("price == true", 1, "price is 1, not compared: an int, where true or false is wanted"),
        ('price contains "a"', 5, "price is 5, not compared: an int, where a list or a text is wanted"),
        ('price contains "a"', [Foo()], "a list with a Foo in it"),
        ("price > 5", Decimal("3.50"), "price > 5 is not so: price is 3.50"),
        ("not (price > 5)", Foo(), "not (price > 5); price is not compared: a Foo"),
        ('plan == "pro" or price > 5', Foo(), 'plan == "pro"; price is not compared: a Foo'),
    ],
)
def test_what_is_not_compared_is_named(condition: str, value: Any, told: str) -> None:
    """In the explanation, even where another part of the condition decided."""
    assert told in str(client(condition).explain("f0", Context("u", {"price": value, "plan": "pro"})))


def test_a_value_nobody_compares_is_a_warning_once() -> None:
    """One line for each attribute and cause, however often it comes; gone with the comparison that asked for it."""
    with pf.connect({"flags": {"priced": {"rules": [{"when": "price >= 100"}]}, "g": {"percent": 50}}}, poll=None) as flags:
        for _ in range(50):
            assert not flags.is_enabled("priced", pf.Context("u", {"price": Foo()}))
            assert flags.is_enabled("priced", pf.Context("u", {"price": Decimal(150)}))
            assert not flags.is_enabled("priced", pf.Context("u", {"price": None}))
            assert not flags.is_enabled("priced", pf.Context("u"))
        (warning,) = flags.status().warnings
        assert (warning.key, warning.message) == (
            "context.price",
            "price came as a value that is not compared: a Foo; so `price >= 100` is not so",
        )
        flags.install(parse({"flags": {"priced": {"rules": [{"when": "cost >= 100"}]}}}))
        assert flags.status().warnings == ()


def test_a_text_of_another_shape_is_a_warning_too() -> None:
    """Also in the commonest rule, whose two comparisons are built into one."""
    made = client('plan == "pro" and app >= semver("2.1.0")', context={"app": "semver", "plan": "str"})
    made.install(parse({"flags": {"f": {"rules": [{"when": 'plan == "pro" and app >= semver("2.1.0")', "percent": 25}]}}}))
    for app in ("1.2.x", "1.2.y", "3.0.0", "1.0.0"):
        made.get("f", False, Context("u", {"plan": "pro", "app": app}))
    assert [problem.message for problem in made.uncompared] == [
        'app came as a value that is not compared: not a semantic version; so `app >= semver("2.1.0")` is not so'
    ]
    made.get("f", False, Context("u", {"plan": b"pro", "app": "3.0.0"}))
    made.get("f", False, Context("u", {"plan": ["pro"], "app": "3.0.0"}))
    assert sorted(problem.message.partition(": ")[2] for problem in made.uncompared)[:2] == [
        'a bytes; so `plan == "pro"` is not so',
        'a list; so `plan == "pro"` is not so',
    ]


def test_warnings_about_values_have_an_end() -> None:
    """A program that makes a class per request, or an attribute per flag, fills no memory and no page."""
    flags = client(*(f"a{n} > 1" for n in range(200)))
    for n in range(200):
        for _ in range(3):
            flags.get(f"f{n}", False, Context("u", {f"a{n}": type(f"Made{n}\x1b[31m", (), {})()}))
    told = flags.uncompared
    assert len(told) == 50
    assert all(len(problem.message) < 400 and problem.message.isprintable() for problem in told)


DECLARED = {
    "str": ("a", 5),
    "int": (Decimal("5.00"), 5.5),
    "float": (np.float32(5), "5"),
    "number": (Fraction(1, 3), True),
    "bool": (np.bool_(True), 1),
    "semver": ("1.2", "1.2.x"),
    "ip": (ipaddress.ip_address("::1"), "home"),
    "date": (1_798_761_600, "soon"),
    "list": (deque(), "a"),
}


@pytest.mark.parametrize("declared", DECLARED)
def test_a_declared_type_is_held_against_the_context(declared: str) -> None:
    """Whether or not any rule looks at the attribute; the explanation begins with it."""
    good, bad = DECLARED[declared]
    flags = client("beta", context={"x": declared, "beta": "bool"})
    assert flags.explain("f0", Context("u", {"x": good, "beta": True})).steps[0].what == "rule 'rule 1'"
    for value in (bad, Foo()):
        step = flags.explain("f0", Context("u", {"x": value})).steps[0]
        assert (step.what, step.matched) == ("context", False)
        assert step.why.startswith(f"x is declared {declared}, and is ")
    assert not any(step.what == "context" for step in flags.explain("f0", Context("u", {"x": None})).steps)


def test_the_key_may_be_written_as_openfeature_writes_it() -> None:
    """In a mapping, wherever a context is taken; it is no attribute then."""
    flags = client('targeting_key == "ann"')
    for who in ({"targetingKey": "ann"}, {"targeting_key": "ann"}, {"targeting_key": "ann", "targetingKey": "bob"}):
        assert flags.is_enabled("f0", who)
        with pf.bind(who) as scope:
            assert flags.is_enabled("f0")
            assert scope.context == Context("ann")
    assert flags.is_enabled("f0", {"targeting_key": None, "targetingKey": "ann"})


def test_a_name_much_like_the_missing_one_is_said() -> None:
    """A flag, an attribute, a unit."""
    flags = client('plan == "pro"', flags={"checkout": {"rules": [{"when": 'plan == "pro"'}]}, "u": {"percent": 5, "unit": "account_id"}})
    assert "there is no such flag: did you mean 'checkout'?" in str(flags.explain("chekout", "u"))
    assert "plan is missing (did you mean 'Plan'?)" in str(flags.explain("checkout", Context("u", {"Plan": "pro"})))
    assert "account_id is missing: did you mean 'accountId'?" in str(flags.explain("u", Context("u", {"accountId": "pro"})))


def test_looking_at_values_imports_nothing() -> None:
    """A program that has no decimal, fractions or numpy gets none."""
    code = (
        "import sys, progflags as pf\n"
        "with pf.connect({'flags': {'f': {'rules': [{'when': 'x >= 100'}]}}}, poll=None) as flags:\n"
        "    flags.get('f', False, pf.Context('u', {'x': object()}))\n"
        "    assert flags.status().warnings\n"
        "print('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (np.int64(42), "42"),
        (np.uint8(42), "42"),
        (np.str_("ann"), "ann"),
        (Decimal("42"), "42"),
        (Money("42"), "42"),
        (Level.HIGH, "150"),
        (Plan.PRO, "pro"),
        (Right.READ, "1"),
        (uuid.UUID(UUID), UUID),
    ],
)
def test_an_id_of_another_class_is_the_same_unit(unit: Any, text: str) -> None:
    """As a key, in a mapping, and as the attribute a flag buckets by: the same bucket as its text, and no missing key."""
    flags = client(flags={"f": {"percent": 50}, "g": {"percent": 50, "unit": "id"}})
    assert Context(unit)._kb == text.encode()
    for who in (unit, Context(unit), {"targeting_key": unit}):
        assert flags.evaluate("f", None, who) == flags.evaluate("f", None, text)
    assert flags.evaluate("g", None, Context("u", {"id": unit})) == flags.evaluate("g", None, Context("u", {"id": text}))


@pytest.mark.parametrize("unit", [Decimal("42.00"), Decimal("1E+3"), Decimal("NaN"), np.timedelta64(5, "s"), np.float64(42), 42.0, True, np.bool_(True), b"42", Foo(), Price.HIGH, ""])  # fmt: skip
def test_what_is_no_id_is_said_to_be_none(unit: Any) -> None:
    """It is not missing: it can't be bucketed by, and the explanation says what it is."""
    flags = client(flags={"f": {"percent": 50}, "g": {"percent": 50, "unit": "id"}})
    for told in (flags.explain("f", Context(unit)), flags.explain("g", Context("u", {"id": unit}))):
        assert str(told.evaluation.error_code) == "TARGETING_KEY_MISSING"
        assert f"{type(unit).__name__} is no id: pass a text, a whole number or a UUID" in str(told)


# ── 40 types × every operator ────────────────────────────────────────


@dataclass(frozen=True)
class Order:
    amount: int


def _text(r: random.Random) -> str:
    return r.choice(["pro", "a", "", "1.2.3", "1.2.3.4", "2027-01-01", "10.1.2.3", "5", "ż", UUID, "x" * 300])


SUPPORTED: dict[str, Callable[[random.Random], Any]] = {
    "str": _text,
    "int": lambda r: r.choice([0, 1, 5, 150, -1, 10**400, 1_798_761_600, 1_798_761_600_000]),
    "float": lambda r: r.choice([0.0, 0.1, 5.0, 1e300, float("inf"), float("nan")]),
    "bool": lambda r: r.random() < 0.5,
    "Decimal": lambda r: Decimal(r.choice(["5", "0.1", "150.00", "NaN", "sNaN", "-Infinity", "1E+99999"])),
    "Money": lambda r: Money(r.choice(["5", "0.1"])),
    "Fraction": lambda r: Fraction(r.randrange(9), r.randrange(1, 9)),
    "date": lambda r: date(2026 + r.randrange(3), 1, 1),
    "datetime": lambda r: datetime(2026 + r.randrange(3), 1, 1),
    "aware": lambda r: datetime(2026 + r.randrange(3), 1, 1, tzinfo=UTC),
    "Enum": lambda r: r.choice([Plan.PRO, Price.HIGH, Right.READ]),
    "StrEnum": lambda _: Tier.PRO,
    "IntEnum": lambda _: Level.HIGH,
    "UUID": lambda _: uuid.UUID(UUID),
    "IPv4Address": lambda _: ipaddress.ip_address("10.1.2.3"),
    "IPv6Address": lambda _: ipaddress.ip_address("2001:db8::1"),
    "np.int64": lambda r: np.int64(r.choice([1, 5, 150])),
    "np.uint8": lambda r: np.uint8(r.choice([1, 5, 150])),
    "np.float32": lambda r: np.float32(r.choice([0.1, 5, float("nan")])),
    "np.float64": lambda r: np.float64(r.choice([0.1, 5, float("nan")])),
    "np.longdouble": lambda r: np.longdouble(r.choice([0.1, 5, float("nan")])),
    "np.bool_": lambda r: np.bool_(r.random() < 0.5),
    "np.str_": lambda r: np.str_(_text(r)),
    "np.datetime64": lambda r: np.datetime64(r.choice(["2027-01-01", "2026-01-01T00:00:00.000000001"])),
}
LISTS: dict[str, Callable[[random.Random], Any]] = {
    "list": lambda r: [_text(r), 5],
    "tuple": lambda r: (_text(r), True),
    "set": lambda r: {_text(r)},
    "frozenset": lambda r: frozenset([_text(r)]),
    "deque": lambda r: deque([_text(r)]),
    "ndarray": lambda _: np.array([1, 5]),
}
FOREIGN: dict[str, Callable[[random.Random], Any]] = {
    "bytes": lambda _: b"pro",
    "bytearray": lambda _: bytearray(b"pro"),
    "dict": lambda _: {"a": 1},
    "OrderedDict": lambda _: OrderedDict(a=1),
    "Counter": lambda _: Counter("a"),
    "complex": lambda _: 5j,
    "time": lambda _: time(5),
    "timedelta": lambda _: timedelta(5),
    "np.timedelta64": lambda _: np.timedelta64(5, "s"),
    "NaT": lambda _: np.datetime64("NaT", "s"),
    "np.complex128": lambda _: np.complex128(5),
    "range": lambda _: range(5),
    "object": lambda _: object(),
    "Foo": lambda _: Foo(),
    "Order": lambda r: Order(r.randrange(9)),
    "type": lambda _: Foo,
    "function": lambda _: _text,
    "Path": lambda _: PurePosixPath("pro"),
    "network": lambda _: ipaddress.ip_network("10.0.0.0/8"),
    "Ellipsis": lambda _: ...,
}
CONDITIONS = (
    *(f'x {op} "pro"' for op in ("==", "!=")),
    *(f"x {op} {literal}" for op in ("==", "!=") for literal in ("true", "0.1", "5")),
    *(f"x {op} {literal}" for op in ("<", "<=", ">", ">=") for literal in ("5", "0.1", 'semver("1.0.0")', 'date("2027-01-01")')),
    *(f"x {op} {literal}" for op in ("==", "!=") for literal in ('semver("1.2.3")', 'date("2027-01-01")')),
    *(f'x {op} ["pro", 5, true]' for op in ("in", "not in")),
    *(f'x {op} [semver("1.2.3"), date("2027-01-01")]' for op in ("in", "not in")),
    *(f'x {op} cidr("10.0.0.0/8")' for op in ("in", "not in")),
    *(f'x {op} ["a", "p"]' for op in ("startswith", "endswith", "contains", "overlaps")),
    *(f"x {op} [5, true]" for op in ("contains", "overlaps")),
    'x matches "p*"',
    "exists(x)",
    'not (x == "pro")',
    "not (x > 5)",
    'plan == "pro" or x > 5',
    'plan == "pro" and x == "pro"',
)


@pytest.mark.sized
def test_any_value_with_any_operator_is_answered_and_explained() -> None:
    """
    10,000 random values of 50 types, each with every operator: explain agrees with evaluate, a foreign one is always named.

    Nothing raises, and an operator and its negation are never both true, nor both true of something that can't be compared.
    """
    assert len({**SUPPORTED, **LISTS, **FOREIGN}) == len(SUPPORTED) + len(LISTS) + len(FOREIGN) >= 40
    r = random.Random(20261128)  # noqa: S311 - repeatable
    makers = [*SUPPORTED.values(), *LISTS.values(), *FOREIGN.values()]
    foreign = set(FOREIGN.values())
    flags = client(*CONDITIONS)
    numbers = {condition: f"f{n}" for n, condition in enumerate(CONDITIONS)}
    for _ in range(size(400, full=10_000)):
        make = r.choice(makers)
        value = make(r)
        context = Context("u", {"x": value, "plan": "pro"})
        answers = {condition: flags.evaluate(key, None, context) for condition, key in numbers.items()}
        for condition, key in numbers.items():
            answer, explained = answers[condition], flags.explain(key, context)
            assert answer.error_code is None
            assert explained.evaluation == answer
            assert flags.is_enabled(key, context) is answer.value
            if make in foreign:
                assert answer.value is (condition in ("exists(x)", 'not (x == "pro")', "not (x > 5)", 'plan == "pro" or x > 5'))
                named = re.search(r"x is not compared: an? (\w+)", str(explained))
                assert condition == "exists(x)" or (named and named[1] == type(value).__name__)
        for op, negated in (("==", "!="), ("in", "not in")):
            for condition in CONDITIONS:
                if condition.startswith(f"x {op} "):
                    other = condition.replace(op, negated, 1)
                    assert not (answers[condition].value and answers[other].value)
    assert 0 < len(flags.uncompared) <= 50
