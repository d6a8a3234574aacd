"""Conditions: expressions and trees, typed comparisons, and contexts that bite."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
import semver
from hypothesis import example, given
from hypothesis import strategies as st

from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.flags._problems import Wrong
from progflags.flags.conditions._literals import SemVer, glob
from progflags.flags.conditions._tree import tree
from progflags.testing import ManualClock


class Plan(StrEnum):
    PRO = "pro"


class OldPlan(str, Enum):
    PRO = "pro"


class Level(IntEnum):
    HIGH = 7


def holds(condition: Any, _key: str | None = "user-1", /, **attributes: Any) -> bool:
    node = tree(condition)
    kb = None if _key is None else _key.encode()
    answer = node.compile()(kb, attributes)
    assert node.why(kb, attributes)[0] == answer  # the explanation never disagrees
    return answer


@pytest.mark.parametrize(
    ("expression", "attributes", "answer"),
    [
        ('plan == "pro"', {"plan": "pro"}, True),
        ('plan == "pro"', {"plan": "Pro"}, False),
        ('plan == "pro"', {"plan": Plan.PRO}, True),
        ('plan == "pro"', {"plan": OldPlan.PRO}, True),
        ('plan in ["pro", "team"]', {"plan": Plan.PRO}, True),
        ('plan in ["pro", "team"]', {"plan": ["pro"]}, False),
        ('plan in ["pro", "team"]', {}, False),
        ('plan not in ["pro"]', {"plan": "free"}, True),
        ('plan not in ["pro"]', {}, False),
        ('plan not in ["pro"]', {"plan": 3}, False),
        ('plan != "pro"', {"plan": "free"}, True),
        ('plan != "pro"', {}, False),
        ('plan != "pro"', {"plan": None}, False),
        ('plan != "pro"', {"plan": 3}, False),
        ("age == 18", {"age": 18}, True),
        ("age == 18", {"age": 18.0}, True),
        ("age == 18", {"age": "18"}, False),
        ("flag == 1", {"flag": True}, False),
        ("flag in [1]", {"flag": True}, False),
        ("flag in [true]", {"flag": 1}, False),
        ("beta == true", {"beta": 1}, False),
        ("beta == true", {"beta": True}, True),
        ("beta != true", {"beta": False}, True),
        ("beta", {"beta": True}, True),
        ("beta", {"beta": "yes"}, False),
        ("not beta", {}, True),
        ("level >= 7", {"level": Level.HIGH}, True),
        ("age >= 18 and age < 65", {"age": 64}, True),
        ("18 <= age < 65", {"age": 65}, False),
        ("18 <= age < 65", {"age": 18}, True),
        ("score > 0.5", {"score": float("nan")}, False),
        ("score != 0.5", {"score": float("nan")}, False),
        ("big > 9007199254740992", {"big": 9007199254740993}, True),
        ('mail endswith "@example.com"', {"mail": "a@example.com"}, True),
        ('mail endswith ["@a.com", "@b.com"]', {"mail": "x@b.com"}, True),
        ('mail startswith "a"', {"mail": "b"}, False),
        ('text contains "ell"', {"text": "hello"}, True),
        ('roles contains "admin"', {"roles": ["admin", "dev"]}, True),
        ('roles contains ["admin", "dev"]', {"roles": ("admin",)}, False),
        ('roles contains ["admin", "dev"]', {"roles": {"admin", "dev"}}, True),
        ('"admin" in roles', {"roles": ["admin"]}, True),
        ('"admin" not in roles', {"roles": ["dev"]}, True),
        ('"admin" not in roles', {}, False),
        ('roles overlaps ["a", "b"]', {"roles": ["b", "c"]}, True),
        ('host matches "*.eu-?.example.com"', {"host": "a.b.eu-1.example.com"}, True),
        ('host matches ["x*", "y*"]', {"host": "yes"}, True),
        ('ip in cidr("10.0.0.0/8")', {"ip": "10.1.2.3"}, True),
        ('ip in cidr("10.0.0.0/8")', {"ip": "::ffff:10.1.2.3"}, True),
        ('ip in cidr("10.0.0.0/8", "2001:db8::/32")', {"ip": "2001:db8::1"}, True),
        ('ip in cidr("10.0.0.0/8")', {"ip": "nonsense"}, False),
        ('ip not in cidr("10.0.0.0/8")', {"ip": "nonsense"}, False),
        ('ip not in cidr("10.0.0.0/8")', {"ip": "11.0.0.1"}, True),
        ('app >= semver("2.1.0")', {"app": "2.10.0"}, True),
        ('app >= semver("2.1.0")', {"app": "2.1.0-rc.1"}, False),
        ('app >= semver("2.1")', {"app": "v2.1"}, True),
        ('app >= semver("2.1.0")', {"app": "new"}, False),
        ('app >= semver("2.1.0")', {"app": 2.5}, False),
        ('app == semver("2.1.0")', {"app": "2.1.0+build.7"}, True),
        ('since >= date("2027-01-01")', {"since": date(2027, 1, 1)}, True),
        ('since >= date("2027-01-01")', {"since": datetime(2027, 1, 1)}, True),
        ('since < date("2027-01-01")', {"since": datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=2)))}, True),
        ('since < date("2027-01-01T00:00:00Z")', {"since": "2026-12-31T23:59:59Z"}, True),
        ('since < date("2027-01-01")', {"since": "soon"}, False),
        ("exists(plan)", {"plan": ""}, True),
        ("exists(plan)", {"plan": None}, False),
        ("not exists(plan)", {}, True),
        ('user.plan == "pro"', {"user": {"plan": "pro"}}, True),
        ('user.plan == "pro"', {"user": "pro"}, False),
        ('attr("odd name") == 1', {"odd name": 1}, True),
        ('targeting_key in ["user-1", "user-2"]', {}, True),
        ('targeting_key startswith "admin"', {}, False),
        ("a == 1 or b == 1 and c == 1", {"a": 1}, True),
        ("(a == 1 or b == 1) and c == 1", {"a": 1}, False),
        ("not (a == 1) and not not (b == 1)", {"a": 2, "b": 1}, True),
        (r'say == "a\"b\\c\n"', {"say": 'a"b\\c\n'}, True),
        ("price == -1.5e3", {"price": -1500}, True),
    ],
)
def test_an_expression_means_what_it_says(expression: str, attributes: dict[str, Any], answer: bool) -> None:
    """Typed, without coercion; a missing attribute matches nothing."""
    assert holds(expression, **attributes) is answer


@pytest.mark.parametrize(
    ("written", "as_expression"),
    [
        ({"attribute": "plan", "op": "==", "value": "pro"}, 'plan == "pro"'),
        ({"attribute": "plan", "value": "pro"}, 'plan == "pro"'),
        ({"attribute": "plan", "op": "not_in", "value": ["pro"]}, 'plan not in ["pro"]'),
        ({"attribute": "app", "op": ">=", "value": {"semver": "2.1.0"}}, 'app >= semver("2.1.0")'),
        ({"attribute": "ip", "op": "cidr", "value": "10.0.0.0/8"}, 'ip in cidr("10.0.0.0/8")'),
        ({"attribute": "since", "op": "<", "value": date(2027, 1, 1)}, 'since < date("2027-01-01")'),
        ({"attribute": "plan", "op": "exists"}, "exists(plan)"),
        ({"attribute": "user.plan", "op": "exists", "value": False}, "not exists(user.plan)"),
        ({"all": ["a == 1", {"any": ["b == 1", {"not": "c == 1"}]}]}, "a == 1 and (b == 1 or not (c == 1))"),
    ],
)
def test_a_tree_says_the_same_as_an_expression(written: Any, as_expression: str) -> None:
    """Two ways to write it, one meaning; its text is an expression again."""
    for a in (0, 1):
        for plan in ("pro", "x", None):
            attributes = {"a": a, "b": 1, "c": a, "plan": plan, "app": "2.2.0", "ip": "10.0.0.1", "since": "2026-01-01", "user": {}}
            assert holds(written, **attributes) == holds(as_expression, **attributes) == holds(str(tree(written)), **attributes)


def test_the_targeting_key_may_be_missing() -> None:
    """Then a comparison with it is false, and exists() says so."""
    assert not holds('targeting_key == "x"', None)
    assert holds("not exists(targeting_key)", None)


versions = st.builds(
    lambda core, pre, build: ".".join(map(str, core)) + (f"-{'.'.join(pre)}" if pre else "") + (f"+{build}" if build else ""),
    st.tuples(*[st.integers(0, 20)] * 3),
    st.lists(st.sampled_from(["alpha", "beta", "rc", "0", "1", "11", "2", "x-y", "a1"]), max_size=3),
    st.sampled_from(["", "b1", "20270101"]),
)


@given(versions, versions)
@example("1.0.0-alpha", "1.0.0-alpha.1")
@example("1.0.0-1", "1.0.0-a")
def test_versions_order_as_semver_says(one: str, other: str) -> None:
    """Checked against the `semver` package."""
    a, b = SemVer.read(one), SemVer.read(other)
    assert a
    assert b
    assert (a.order > b.order) - (a.order < b.order) == semver.Version.parse(one).compare(other)


@given(st.text("ab.\n", max_size=10), st.text("ab.*?", max_size=8))
@example("aXb", "a*?b")
@example("ab", "a*ab")
def test_a_pattern_fits_as_fnmatch_would(text: str, pattern: str) -> None:
    """Against the standard library, whose regular expressions this avoids."""
    from fnmatch import fnmatchcase

    assert glob(pattern, text) == fnmatchcase(text, pattern)


def test_no_pattern_can_take_forever() -> None:
    """The classic that kills backtracking engines: linear steps back, and long texts match nothing."""
    assert not glob("*a" * 20 + "b", "a" * 3000)
    assert not glob("*" + "a" * 200 + "b*", "a" * 4096)
    assert not glob("*" + "a?" * 100 + "b*", "a" * 4096)
    assert not glob("*", "a" * 5000)


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_wrong_with_a_column(text: str) -> None:
    """Nothing else escapes the reader."""
    try:
        node = tree(text)
    except Wrong as wrong:
        assert wrong.message  # noqa: PT017
    else:
        node.compile()(b"x", {})


def test_nesting_has_an_end() -> None:
    """Thirty-two parentheses are read; more are refused rather than recursed into."""
    assert holds("(" * 30 + "a == 1" + ")" * 30, a=1)
    for text in ("(" * 100_00, "not " * 2000 + "a", "(" * 40 + "a" + ")" * 40):
        with pytest.raises(Wrong):
            tree(text)


# ── poison ─────────────────────────────────────────────────────────────────


class Poison:
    """Every question raises."""

    def _boom(self, *_: object) -> Any:
        raise RuntimeError("poison")

    __eq__ = __hash__ = __str__ = __repr__ = __len__ = __bool__ = __lt__ = __gt__ = __le__ = __ge__ = __iter__ = __contains__ = _boom  # type: ignore[assignment]
    __class__ = property(_boom)  # type: ignore[assignment]


class PoisonText(str):
    __slots__ = ()

    def _boom(self, *_: object) -> Any:
        raise RuntimeError("poison")

    __str__ = __len__ = startswith = endswith = _boom  # type: ignore[assignment]


OPERATIONS = [
    'x != "a"',
    "x > 1",
    'x startswith "a"',
    'x contains "a"',
    'x overlaps ["a"]',
    'x >= date("2027-01-01")',
    "x.y == 1",
    "x == true",
    "x == 1",
    "x in [1, 2]",
    'x not in ["a"]',
]


@pytest.mark.parametrize("expression", OPERATIONS)
def test_foreign_objects_are_not_asked(expression: str) -> None:
    """A foreign object matches nothing, and none of its methods runs."""
    assert tree(expression).compile()(b"u", {"x": Poison()}) is False
    assert tree(expression).why(b"u", {"x": Poison()})[0] is False


values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.datetimes()
    | st.lists(st.integers() | st.text(max_size=2), max_size=3)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
    | st.sampled_from(
        ["<poison>", "<poisoned text>", "<enum>", "<huge>", "<set>", "<object>", "<zone>"]
    )  # named, so that they can be shown
)
STRANGE = {
    "<poison>": Poison(),
    "<poisoned text>": PoisonText("a"),
    "<enum>": Plan.PRO,
    "<huge>": 10**5000,
    "<set>": {1},
    "<object>": object(),
    "<zone>": UTC,
}


@given(
    values,
    st.sampled_from([*OPERATIONS, 'x in ["a", "b"]', 'x == "a"', 'x in cidr("10.0.0.0/8")', 'x >= semver("1.0.0")', 'x matches "a*"']),
)
def test_any_value_matches_or_not(value: Any, expression: str) -> None:
    """True or false; where the value's own hash raises, that is the only thing that may come out."""
    try:
        found = STRANGE[value] if isinstance(value, str) and value in STRANGE else value
        assert tree(expression).compile()(b"u", {"x": found}) in (True, False)
    except RuntimeError as error:
        assert str(error) == "poison"  # noqa: PT017


@pytest.mark.parametrize(
    ("expression", "value", "answer"),
    [
        ('v not in [semver("1.0.0")]', "2.0.0", True),
        ('v not in [semver("1.0.0")]', "1.0.0+build", False),
        ('v not in [semver("1.0.0")]', "no version", False),
        ('v not in [semver("1.0.0"), "nightly"]', "no version", True),
        ('v not in [semver("1.0.0"), "nightly"]', "nightly", False),
        ('v not in [semver("1.0.0"), 3]', 3, False),
        ('v not in [semver("1.0.0"), 3]', 4.0, True),
        ('v not in [date("2027-01-01")]', "2027-01-02", True),
        ('v not in [date("2027-01-01")]', "2027-01-01T00:00:00Z", False),
        ('v not in [date("2027-01-01")]', datetime(2027, 1, 2, tzinfo=UTC), True),
        ('v not in [date("2027-01-01")]', "soon", False),
        ('v not in [date("2027-01-01")]', 5, True),
        ('v not in [date("2027-01-01")]', 1_798_761_600, False),
        ('v not in [date("2027-01-01")]', 1_798_761_600_000, False),
        ('v not in [semver("1.0.0")]', ["2.0.0"], False),
    ],
)
def test_a_list_of_versions_or_dates_has_an_outside(expression: str, value: Any, answer: bool) -> None:
    """`not in` is true for what could stand in the list and does not; the same type, as everywhere."""
    assert holds(expression, v=value) is answer
    assert not holds(expression)


class Frozen(datetime):
    """What freezegun, pendulum and pandas hand out: a datetime by descent."""


class NaT(datetime):
    """pandas' "not a time": a datetime by descent, and no point in time."""

    def timestamp(self) -> float:
        return float("nan")


class Nowhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None


def test_a_datetime_of_another_family_is_one() -> None:
    """And what only claims to be one matches nothing, not even `!=`."""
    moment = Frozen(2027, 1, 1, tzinfo=UTC)
    assert holds('at == date("2027-01-01")', at=moment)
    assert holds('at in [date("2027-01-01")]', at=moment)
    assert holds('at < date("2027-01-01")', at=Frozen(2026, 12, 31))
    for op in ("==", "!=", "<", ">"):
        assert not holds(f'at {op} date("2027-01-01")', at=NaT(2027, 1, 1))
    assert holds('at == date("2027-01-01")', at=datetime(2027, 1, 1, tzinfo=Nowhere()))  # aware of nothing: UTC, as a naive one
    assert holds('at > date("2027-01-01")', at=datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))))
    assert holds('at < date("2027-01-01")', at=datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))


@pytest.mark.parametrize("attribute", ["user.", ".plan", "a..b", ".", "targeting_key.part"])
def test_an_attribute_with_an_empty_part_is_a_mistake(attribute: str) -> None:
    """It would be missing for everybody, and nobody would be told."""
    with pytest.raises(Wrong, match="is no attribute"):
        tree({"attribute": attribute, "value": 1})


class Sly(str):
    """A text by descent whose own code fails."""

    __slots__ = ("error",)
    error: Exception

    def __hash__(self) -> int:
        raise self.error

    def __eq__(self, _: object) -> bool:
        raise self.error


class Slyer(str):
    """It can be hashed, and then fails where an equal text is known already."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, _: object) -> bool:
        raise TypeError


def sly(text: str, error: Exception) -> Sly:
    made = Sly(text)
    made.error = error
    return made


@pytest.mark.parametrize("error", [TypeError(), KeyError(), ValueError(), RuntimeError()])
@pytest.mark.parametrize(
    "condition", ['plan == "pro"', 'plan in ["pro", "x"]', 'plan matches "p?o"', 'plan == "pro" and app >= semver("1.0.0")']
)
def test_a_text_by_descent_counts_by_its_plain_value_every_time(condition: str, error: Exception) -> None:
    """Whatever its own methods do, and whether or not an equal one was seen before; in a share of two texts, too."""
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"rules": [{"when": condition, "percent": 50, "serve": "on"}], "default": "off"}}}))
    plain = client.evaluate("f", None, Context("u", {"plan": "pro", "app": "1.2.3"}))
    assert plain.reason == "SPLIT"
    for who in (sly("pro", error), Slyer("pro"), sly("pro", error), Slyer("pro")):
        assert client.evaluate("f", None, Context("u", {"plan": who, "app": sly("1.2.3", error)})) == plain
    assert client.evaluate("f", None, Context("u", {"plan": sly("free", error), "app": "1.2.3"})).reason == "DEFAULT"
    assert client.evaluate("f", None, Context("u", {"app": "1.2.3"})).reason == "DEFAULT"


def test_a_rule_for_nobody_is_not_asked_whom_it_is_for() -> None:
    """An evaluation does not look at it; neither does the explanation, which would otherwise fail where the answer did not."""

    class Mean:
        def __hash__(self) -> int:
            raise RuntimeError

    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": {"f": {"rules": [{"when": 'plan == "pro"', "percent": 0}]}}}))
    who = Context("u", {"plan": Mean()})
    assert client.explain("f", who).evaluation == client.evaluate("f", None, who)
    assert "share is 0 %" in str(client.explain("f", who))
