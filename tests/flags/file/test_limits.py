"""What a file may ask of one evaluation, and of one load: what is accepted can be answered, and the rest is refused in a sentence."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.context import Context
from progflags.events import Bus
from progflags.flags import Client, Snapshot, parse
from progflags.flags.file._requires import circles, weigh
from progflags.testing import ManualClock


def client_of(flags: dict[str, Any], **document: Any) -> Client:
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": flags, **document}))
    return client


def messages(snapshot: Snapshot) -> str:
    return "\n".join(map(str, snapshot.rejected))


@pytest.mark.parametrize("word", ["all", "any"])
def test_thousands_of_conditions_in_a_list_are_answered(word: str) -> None:
    """They go no deeper than two."""
    op = "==" if word == "any" else "!="
    parts = [{"attribute": "a", "op": op, "value": number} for number in range(3000)]
    client = client_of({"f": {"rules": [{"when": {word: parts}}]}})
    last, none = ({"a": 2999}, {"a": 3000}) if word == "any" else ({"a": 3000}, {"a": 2999})
    assert client.evaluate("f", None, Context("u", last)).value is True
    assert client.evaluate("f", None, Context("u", none)).value is False
    assert client.explain("f", Context("u", last)).evaluation.value is True


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_any_number_of_parts_means_what_python_means(truths: list[bool]) -> None:
    """One, two and more are three shapes of the same."""
    names = [f"a{number}" for number in range(len(truths))]
    who = Context("u", dict(zip(names, truths, strict=True)))
    client = client_of({"e": {"rules": [{"when": " and ".join(names)}]}, "s": {"rules": [{"when": " or ".join(names)}]}})
    assert client.is_enabled("e", who) is all(truths)
    assert client.is_enabled("s", who) is any(truths)


def test_a_flag_may_require_hundreds_of_others() -> None:
    """Asked one after the other, the first that fails decides."""
    others: dict[str, Any] = {f"r{number}": {"percent": 100} for number in range(990)}
    client = client_of({"top": {"percent": 100, "requires": [{"flag": key} for key in others]}, **others})
    assert client.evaluate("top", None, "u").value is True
    with client.override({"r989": False}):
        assert client.evaluate("top", None, "u").reason == "DISABLED"


def test_prerequisites_that_double_at_every_level_are_refused() -> None:
    """Thirty levels of two that require two would be a thousand million evaluations for one answer."""
    flags: dict[str, Any] = {}
    for level in range(30):
        below = [{"flag": f"a{level + 1}"}, {"flag": f"b{level + 1}"}]
        flags |= {f"a{level}": {"requires": below, "percent": 100}, f"b{level}": {"requires": below, "percent": 100}}
    flags |= {"a30": {"percent": 100}, "b30": {"percent": 100}}
    snapshot = parse({"flags": flags})

    assert "flags.a0.requires: its prerequisites, and theirs, come to more than 1,000 evaluations" in messages(snapshot)
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(snapshot)
    assert client.evaluate("a23", None, "u").value is True  # seven levels: 255 evaluations
    assert client.evaluate("a0", None, "u").error_code == "PARSE_ERROR"


def test_segments_that_double_at_every_level_are_refused() -> None:
    """Thirty lines of a file that would unfold into a thousand million comparisons."""
    segments = {f"s{level}": {"when": f'segment("s{level + 1}") and segment("s{level + 1}")'} for level in range(30)}
    segments["s30"] = {"when": "beta"}
    flags = {"small": {"rules": [{"when": 'segment("s20")'}]}, "large": {"rules": [{"when": 'segment("s0")'}]}}
    snapshot = parse({"flags": flags, "segments": segments})

    assert "segments.s0.when: 16,384 comparisons, its segments included; at most 10,000 are made" in messages(snapshot)
    assert snapshot.broken == {"large"}
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(snapshot)
    assert client.is_enabled("small", Context("u", {"beta": True}))


@pytest.mark.parametrize("ordered", [1, -1])
def test_segments_in_segments_end_at_the_same_depth_in_whatever_order_they_are_written(ordered: int) -> None:
    segments = {f"s{level}": {"when": f'segment("s{level + 1}")'} for level in range(60)}
    segments["s60"] = {"when": "beta"}
    snapshot = parse({"flags": {"f": {"rules": [{"when": 'segment("s29")'}]}}, "segments": dict([*segments.items()][::ordered])})
    assert "nested deeper than 32 levels" in messages(snapshot)
    assert snapshot.flags.keys() == {"f"}


def test_levels_of_a_condition_add_up_over_its_segments() -> None:
    """Each is within its own limit, and together they would use up the stack of whoever asks."""
    deep = "not (" * 14 + "{}" + ")" * 14
    segments = {f"s{level}": {"when": deep.format(f'segment("s{level + 1}")')} for level in range(20)}
    segments["s20"] = {"when": "beta"}
    snapshot = parse({"flags": {}, "segments": segments})
    assert "nested deeper than 100 levels, its segments included" in messages(snapshot)


def test_a_segment_is_read_once_however_many_flags_ask_for_it() -> None:
    """They share its condition."""
    segments = {"s": {"when": "a == 1 and b == 2"}}
    snapshot = parse({"flags": {key: {"rules": [{"when": 'segment("s")'}]} for key in "fg"}, "segments": segments})
    first, second = (snapshot.flags[key].rules[0].when.part for key in "fg")  # type: ignore[union-attr]
    assert first is second


def test_a_long_chain_is_refused_as_quickly_as_it_is_read() -> None:
    """The thirty-two at its end serve."""
    flags: dict[str, Any] = {f"f{number}": {"requires": [{"flag": f"f{number + 1}"}]} for number in range(20_000)}
    snapshot = parse({"flags": {**flags, "f20000": {}}})
    assert len(snapshot.flags) == 33
    assert "a chain of more than 32 prerequisites" in messages(snapshot)


# ── a bad flag beside its earlier definition ───────────────────────────────


def test_a_rejected_flags_earlier_definition_closes_no_circle() -> None:
    """The old A requires B; now A has a typo and B requires A. The rest of the file applies, its kill switch among it."""
    before = parse({"flags": {"A": {"requires": [{"flag": "B"}]}, "B": {}, "K": {"percent": 100}}})
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(before)
    after = parse(
        {"flags": {"A": {"requires": [{"flag": "B"}], "percnt": 3}, "B": {"requires": [{"flag": "A"}]}, "K": {"percent": 0}}},
        previous=before,
    )

    assert "flags.B.requires: the prerequisites go in a circle" in messages(after)
    client.install(after)
    assert not client.is_enabled("K", "u")
    assert client.evaluate("A", None, "u").error_code is None
    assert client.evaluate("B", None, "u").error_code is None


def test_a_flag_that_goes_back_to_its_earlier_definition_is_looked_at_again() -> None:
    """B goes back because of A; the B of before closes another circle, with C."""
    before = parse({"flags": {"A": {"requires": [{"flag": "B"}]}, "B": {"requires": [{"flag": "C"}]}, "C": {}}})
    now = {"A": {"requires": [{"flag": "B"}], "percnt": 3}, "B": {"requires": [{"flag": "A"}]}, "C": {"requires": [{"flag": "B"}]}}
    after = parse({"flags": now}, previous=before)

    assert {problem.key for problem in after.rejected} == {"flags.A.percnt", "flags.B.requires", "flags.C.requires"}
    assert all(after.flags[key].same(before.flags[key]) for key in "ABC")


KEYS = "abcdef"
graphs = st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from(KEYS), max_size=3, unique=True), max_size=6)


@st.composite
def documents(draw: Any) -> dict[str, Any]:
    requires = draw(graphs)
    typos = draw(st.sets(st.sampled_from(KEYS)))
    return {
        key: {"requires": [{"flag": other} for other in requires.get(key, ())], **({"percnt": 1} if key in typos else {})} for key in KEYS
    }


@given(st.lists(documents(), min_size=1, max_size=4))
def test_whatever_serves_can_be_installed_and_asked(history: list[dict[str, Any]]) -> None:
    """Mistakes and circles in any order: no reload fails, and no flag waits for itself."""
    client = Client(bus=Bus(), clock=ManualClock())
    snapshot: Snapshot | None = None
    for flags in history:
        snapshot = parse({"flags": flags}, previous=snapshot)
        client.install(snapshot)
        assert circles({key: [one.flag for one in flag.requires] for key, flag in snapshot.flags.items()}) == []
        assert {client.evaluate(key, None, "u").error_code for key in snapshot.flags} <= {None}


@given(graphs)
def test_circles_are_found_where_there_are_any_and_weights_are_what_walking_costs(graph: dict[str, list[str]]) -> None:
    found = circles(graph)
    for path in found:
        assert path[0] == path[-1]
        assert all(later in graph[earlier] for earlier, later in pairwise(path))

    def walk(key: str, trail: tuple[str, ...] = ()) -> tuple[int, int]:
        if key in trail:
            raise RecursionError
        below = [walk(other, (*trail, key)) for other in graph.get(key, ())]
        return 1 + max((depth for depth, _ in below), default=-1), 1 + sum(cost for _, cost in below)

    try:
        expected = {key: walk(key) for key in graph}
    except RecursionError:
        assert found
    else:
        assert not found
        assert weigh(graph) == expected


def test_a_name_that_hundreds_ask_for_and_nobody_has_is_looked_up_once() -> None:
    """What was perhaps meant takes long to find among many; each is told the same, and of different names the first twenty."""
    flags: dict[str, Any] = {f"asks-{number}": {"requires": [{"flag": "new-serch"}]} for number in range(300)}
    flags |= {f"lost-{number}": {"requires": [{"flag": f"nobody-{number}"}]} for number in range(100)}
    snapshot = parse({"flags": {"new-search": {}, **flags, **{f"nobod-{number}": {} for number in range(100)}}})

    hints = [problem.hint for problem in snapshot.rejected]
    assert hints[:300] == ["did you mean 'new-search'?"] * 300
    assert all(hints[300:319])
    assert not any(hints[319:])
