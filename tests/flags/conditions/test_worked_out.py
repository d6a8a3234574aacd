"""Conditions on what is worked out (lengths, hours, remainders), on another attribute, on a list's items, and on text whatever its case."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.flags._problems import Wrong
from progflags.flags.conditions import Setting, tree
from progflags.flags.conditions._literals import SemVer
from progflags.testing import ManualClock
from support.sizes import size

SUNDAY = datetime(2026, 11, 29, 23, 30, tzinfo=UTC).timestamp()  # Monday half past midnight in Berlin
AT = Setting(lambda: SUNDAY)


def holds(condition: Any, /, **attributes: Any) -> bool:
    node = tree(condition)
    answer = node.compile(AT)(b"user-1", attributes)
    said, why = node.why(b"user-1", attributes, AT)
    assert said == answer  # the explanation never disagrees
    assert why
    if "{" not in str(node):  # an expression has no tables
        assert tree(str(node)).compile(AT)(b"user-1", attributes) == answer
    return answer


ORDERS = [{"total": 20, "country": "DE"}, {"total": 300, "country": "PL", "tags": ["gift"]}]


@pytest.mark.parametrize(
    ("condition", "attributes", "answer"),
    [
        # whatever the case
        ('country ieq "pl"', {"country": "PL"}, True),
        ('city ieq "STRASSE"', {"city": "straße"}, True),
        ('country ieq "pl"', {"country": 5}, False),
        ('country iin ["pl", "DE"]', {"country": "de"}, True),
        ('country iin ["pl"]', {}, False),
        ('mail iendswith "@Example.com"', {"mail": "ANN@EXAMPLE.COM"}, True),
        ('name istartswith ["dr", "prof"]', {"name": "Prof. X"}, True),
        ('name icontains "ANN"', {"name": "joanna"}, True),
        ('roles icontains ["ADMIN", "dev"]', {"roles": ["Admin", "DEV"]}, True),
        ('roles icontains ["ADMIN", "dev"]', {"roles": ["Admin"]}, False),
        # a text operator over a list: one item is enough
        ('tags startswith "beta"', {"tags": ["x", "beta-1"]}, True),
        ('tags startswith "beta"', {"tags": []}, False),
        ('tags startswith "5"', {"tags": [5]}, False),
        ('tags matches "*-eu-?"', {"tags": ("a-eu-1",)}, True),
        ('tags matches "*-eu-?"', {"tags": deque(["a-us-1"])}, False),
        # lengths
        ("length(tags) >= 2", {"tags": ["a", "b"]}, True),
        ("length(tags) == 0", {"tags": []}, True),
        ("length(tags) == 0", {}, False),
        ("length(name) in [3, 4]", {"name": "żółw"}, True),
        ("length(user) == 1", {"user": {"id": 1}}, True),
        ("length(n) == 1", {"n": 7}, False),
        ("3 > length(user.tags)", {"user": {"tags": {1, 2}}}, True),
        # whole lists and tables
        ('roles == ["a", "b"]', {"roles": ["a", "b"]}, True),
        ('roles == ["a", "b"]', {"roles": ["b", "a"]}, False),
        ('roles == ["a", "b"]', {"roles": {"b", "a"}}, True),
        ('roles != ["a"]', {"roles": ["a", "b"]}, True),
        ('roles != ["a"]', {"roles": "a"}, False),
        ("ids == [1, true]", {"ids": [1, 1]}, False),
        ({"attribute": "home", "value": {"city": "Łódź", "at": [1, 2]}}, {"home": {"at": (1, 2), "city": "Łódź"}}, True),
        ({"attribute": "home", "value": {"city": "Łódź"}}, {"home": MappingProxyType({"city": "Łódź", "more": 1})}, False),
        ({"attribute": "home", "op": "!=", "value": {"city": "Łódź"}}, {"home": {"city": "Warszawa"}}, True),
        ({"attribute": "home", "op": "!=", "value": {"city": "Łódź"}}, {"home": "Warszawa"}, False),
        # remainders
        ("user_number % 10 == 3", {"user_number": 13}, True),
        ("user_number % 10 == 3", {"user_number": -7}, True),
        ("user_number % 10 in [1, 2]", {"user_number": Decimal(12)}, True),
        ("user_number % 10 == 3", {"user_number": 13.5}, False),
        ("user_number % 10 == 3", {"user_number": float("inf")}, False),
        ("user_number % 10 == 1", {"user_number": True}, False),
        # another attribute
        ('billing != attr("shipping")', {"billing": "PL", "shipping": "DE"}, True),
        ('billing == attr("shipping")', {"billing": "PL", "shipping": "PL"}, True),
        ('billing != attr("shipping")', {"billing": "PL"}, False),
        ('billing != attr("shipping")', {"billing": "PL", "shipping": 5}, False),
        ('billing < attr("shipping")', {"billing": "a", "shipping": "b"}, False),
        ('spent >= attr("limit")', {"spent": Decimal("0.1"), "limit": 0.1}, True),
        ('spent >= attr("limit")', {"spent": 0.1, "limit": Fraction(1, 10)}, True),
        ('spent < attr("limit")', {"spent": Decimal("0.1"), "limit": float("inf")}, False),
        ('spent == attr("limit")', {"spent": True, "limit": 1}, False),
        ('changed > attr("created")', {"changed": datetime(2026, 1, 2, tzinfo=UTC), "created": "2026-01-01"}, True),
        ('country in attr("allowed")', {"country": "PL", "allowed": ["DE", "PL"]}, True),
        ('country not in attr("allowed")', {"country": "PL", "allowed": ["DE"]}, True),
        ('country not in attr("allowed")', {"country": "PL", "allowed": "DE"}, False),
        ('country == attr("home").country', {"country": "PL", "home": {"country": "PL"}}, True),
        ({"attribute": "a", "op": "==", "value": {"attribute": "b.c"}}, {"a": 1, "b": {"c": 1.0}}, True),
        # the alphabet, said so
        ('alphabetical(name) < "m"', {"name": "ann"}, True),
        ('alphabetical(name) < "m"', {"name": "zoe"}, False),
        ('alphabetical(name) < "m"', {"name": 5}, False),
        ('"a" <= alphabetical(name)', {"name": "Ann"}, False),
        # the clock
        ('since > now - "7d"', {"since": SUNDAY - 6 * 86_400}, True),
        ('since > now - "7d"', {"since": SUNDAY - 8 * 86_400}, False),
        ('since > now - "7d"', {"since": "2026-11-28"}, True),
        ('until <= now + "1h"', {"until": datetime.fromtimestamp(SUNDAY, UTC) + timedelta(minutes=59)}, True),
        ("until <= now", {"until": SUNDAY}, True),
        ('now - "30m" < user.seen', {"user": {"seen": SUNDAY}}, True),
        ('since > now - "7d"', {"since": "soon"}, False),
        ({"attribute": "since", "op": ">", "value": {"now": "-7d"}}, {"since": SUNDAY}, True),
        ("now == 3", {"now": 3}, True),  # an attribute may be called so
        ("hour(now) == 23", {}, True),
        ('hour(now, "Europe/Berlin") < 1', {}, True),
        ("weekday(now) == 'sun'", {}, True),
        ('weekday(now, "Europe/Berlin") in ["mon", "tue"]', {}, True),
        ('weekday(born) != "sun"', {"born": "2026-11-28"}, True),
        ('hour(born, "Europe/Berlin") == 2', {"born": "2026-11-28T01:00:00Z"}, True),
        ('hour(born, "Europe/Berlin") == 2', {"born": "never"}, False),
        ("hour(born) >= 0", {"born": 1e11 - 1}, True),
        # an item of a list
        ('any(orders, total > 100 and country == "PL")', {"orders": ORDERS}, True),
        ('any(orders, total > 100 and country == "DE")', {"orders": ORDERS}, False),
        ('any(orders, tags contains "gift")', {"orders": ORDERS}, True),
        ("any(scores, 10 < item < 20)", {"scores": [5, 15]}, True),
        ("any(scores, 10 < item < 20)", {"scores": 15}, False),
        ("any(scores, item > 1)", {}, False),
        ("not any(scores, item > 1)", {}, True),
        ({"attribute": "orders", "op": "any", "value": {"attribute": "total", "op": ">", "value": 100}}, {"orders": ORDERS}, True),
        # versions of as many numbers as there are
        ('app >= semver("1.2.3.4")', {"app": "1.2.3.10"}, True),
        ('app == semver("1.2")', {"app": "V1.2.0.0"}, True),
        ('app < semver("1.2.3")', {"app": "1.2.2.9"}, True),
    ],
)
def test_a_condition_means_what_it_says(condition: Any, attributes: dict[str, Any], answer: bool) -> None:
    """Typed as every other comparison: what is of another kind, or missing, matches nothing."""
    assert holds(condition, **attributes) is answer


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ('since > now - "soon"', 'no duration, column 15 (write a number and a unit, as in now - "7d")'),
        ("since > now - 7", "expected a duration in quotes"),
        ("since in [now]", "a list has plain values before ']', column 14 (put quotes around a text: \"now\")"),
        ('hour(now, "Europe/Berln") >= 9', "no time zone known here: did you mean 'Europe/Berlin'?"),
        ('weekday(now) == "monday"', "'monday' is no weekday"),
        ('weekday(now) >= "mon"', 'weekday(now) is not compared so, column 17 (write weekday(now) in ["sat", "sun"])'),
        ("length(tags) > 1.5", "length(tags) is not compared so"),
        ("length(3) > 1", "length() wants an attribute"),
        ("user % 0 == 1", "expected a whole number to divide by"),
        ("user % 10", "a value alone is no condition"),
        ('a startswith attr("b")', "'startswith' does not compare two attributes"),
        ("length(a) == b", "is compared with a value"),
        ("any(orders)", "expected ','"),
        ("any(3, total > 1)", "any() asks about an attribute"),
        ('country ieq ["a"]', "'ieq' wants a single text"),
        ('country iin "a"', "'iin' wants a list"),
        ("name icontains 5", "'icontains' wants a text or a list of texts, not a number"),
        ('name < "m"', 'alphabetical(name) < "m"'),
        ("lenght(tags) > 1", "unknown function 'lenght', column 1 (did you mean 'length'?)"),
        ({"attribute": "a", "op": "any", "value": 5}, "a condition is an expression or a table"),
        ({"attribute": "a", "op": "in", "value": [{"now": "-7d"}]}, "a list in a condition has plain values"),
        ({"attribute": "a", "op": "in", "value": {"city": 1}}, "can't be compared with"),
    ],
)
def test_what_is_no_condition_is_said_with_what_to_write(condition: Any, message: str) -> None:
    """Where, what, and the remedy."""
    with pytest.raises(Wrong) as refused:
        tree(condition)
    assert message in f"{refused.value.message} ({refused.value.hint})"


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_longer_versions_order_as_packaging_says(one: list[int], other: list[int]) -> None:
    """Beyond three numbers there is no SemVer; Python's own versions agree."""
    a, b = ".".join(map(str, one)), ".".join(map(str, other))
    first, second = SemVer.read(a), SemVer.read(b)
    assert first is not None
    assert second is not None
    assert (first.order > second.order) == (Version(a) > Version(b))
    assert (first.order == second.order) == (Version(a) == Version(b))


# ── a regular expression ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("condition", "value", "answer"),
    [
        (r'x regex "^v[0-9]+$"', "v12", True),
        (r'x regex "^v[0-9]+$"', "v12a", False),
        (r'x regex "eu-\\d"', "a-eu-1-b", True),
        (r'x regex ["^a", "^b"]', "bar", True),
        (r'x regex "^a"', ["x", "ab"], True),
        (r'x regex "^a"', 5, False),
        (r'x regex "ż+$"', "ażż", True),
        (r'x regex ".*"', "a" * 5000, False),
    ],
)
def test_a_regular_expression_is_searched_for(condition: str, value: Any, answer: bool) -> None:
    """Anywhere in the text, unless it says where."""
    pytest.importorskip("re2")
    assert holds(condition, x=value) is answer


def test_no_regular_expression_takes_a_request_s_time() -> None:
    """What a backtracking engine needs 2**4000 steps for; and what RE2 can't do is refused."""
    pytest.importorskip("re2")
    assert not holds('x regex "^(a+)+$"', x="a" * 4000 + "b")
    for pattern in ("(?=x)", "(a)\\1", "(", "a{1,1000}{1,1000}"):
        with pytest.raises(Wrong, match="no regular expression of RE2"):
            tree({"attribute": "x", "op": "regex", "value": pattern})


def test_without_re2_a_regular_expression_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy, when the file is read; not in a request."""
    monkeypatch.setitem(__import__("sys").modules, "re2", None)
    with pytest.raises(Wrong) as refused:
        tree('x regex "a"')
    assert "pip install 'progflags[re2]'" in refused.value.hint


# ── in a client ──────────────────────────────────────────────────────────────


def test_the_client_s_clock_is_asked() -> None:
    """So a test can set it, for evaluate and explain alike."""
    clock = ManualClock()
    flags = Client(bus=Bus(), clock=clock)
    flags.install(parse({"flags": {"f": {"rules": [{"when": 'created > now - "7d" and hour(now) < 24'}]}}}))
    who = Context("u", {"created": clock.now() - 6 * 86_400})
    assert flags.is_enabled("f", who)
    clock.advance(2 * 86_400)
    assert not flags.is_enabled("f", who)
    assert 'created > now - "7d" is not so' in str(flags.explain("f", who))


CONDITIONS = [
    'x ieq "a"', 'x iin ["a", "B"]', 'x icontains "a"', 'x istartswith "a"', 'x iendswith "a"', 'x startswith "a"', 'x matches "a*"',
    "length(x) > 1", "length(x.y) >= 0", 'x == ["a", 1]', 'x != ["a"]', "x % 3 == 1", 'x == attr("y")', 'x < attr("y")', 'x in attr("y")',
    'x not in attr("y")', 'alphabetical(x) < "b"', 'x > now - "7d"', "x <= now", "hour(x) > 3", 'weekday(x, "Asia/Tokyo") == "mon"',
    'any(x, item == "a")', "any(x, y > 1)", "any(x, any(y, item % 2 == 0))", 'x >= semver("1.2.3.4")',
]  # fmt: skip
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.decimals()
    | st.fractions()
    | st.text(max_size=3)
    | st.datetimes()
    | st.dates()
    | st.sampled_from([b"a", object(), 10**400, "1.2.3.4.5", "2026-11-29"])
)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2), max_leaves=6
)


@pytest.mark.sized
@settings(max_examples=size(300, full=100_000))
@given(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3), st.dictionaries(st.sampled_from("xy"), anything, max_size=2))
def test_explain_agrees_with_evaluate_and_neither_raises(conditions: list[str], attributes: dict[str, Any]) -> None:
    """Whatever the context has."""
    flags = Client(bus=Bus(), clock=ManualClock())
    flags.install(parse({"flags": {"f": {"rules": [{"when": condition, "percent": 50} for condition in conditions]}}}))
    who = Context("u", attributes)
    answer = flags.evaluate("f", False, who)
    told = flags.explain("f", who)
    assert answer.error_code is None
    assert (told.evaluation.variant, told.evaluation.reason) == (answer.variant, answer.reason)
