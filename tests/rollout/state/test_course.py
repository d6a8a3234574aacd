"""How the evidence went: thinned as it grows, and always with the look that decided."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.rollout.state._course import Course, worth_bounding

FINDINGS = st.lists(
    st.fixed_dictionaries({
        "gate": st.sampled_from([f"metric_{n} max 1" for n in range(12)]),
        "decision": st.sampled_from(["PASS", "HOLD", "ROLLBACK"]),
        "evidence": st.none() | st.floats(0, 1e300),
        "evidence_max": st.none() | st.floats(0, 1e300),
        "threshold": st.none() | st.floats(1, 1e6),
    }),
    max_size=5,
)  # fmt: skip


def finding(odds, decision="HOLD", most=None):
    return {"gate": "error_rate max 1", "decision": decision, "evidence": odds, "evidence_max": most or odds, "threshold": 100.0}


ENDS = st.none() | st.floats(-1, 1e9)


@given(st.lists(FINDINGS, max_size=400), ENDS, ENDS, ENDS)
def test_it_stays_small_and_in_order_whatever_was_found(looks, low, seen, high):
    course = Course()
    for at, findings in enumerate(looks):
        bounded = [{**one, "interval": [low, high], "effect": seen, "canary": seen} for one in findings]
        course = course.add(float(at), findings, bounded)
    times = [at for at, _ in course.points]

    assert len(course.bounds) <= 40
    assert [at for at, _ in course.bounds] == sorted({at for at, _ in course.bounds})

    assert len(course.points) <= 80
    assert len(course.gates) <= 8
    assert times == sorted(set(times))
    assert all(len(ways) <= len(course.gates) and all(way is None or -1 <= way <= 2 for way in ways) for _, ways in course.points)
    assert Course.from_json(json.loads(json.dumps(course.to_dict()))) == course


@pytest.mark.parametrize(
    ("seen", "way"),
    [(finding(1.0), 0.0), (finding(10.0), 0.5), (finding(100.0), 1.0), (finding(0.1), -0.5), (finding(0.0), -1.0), (finding(1e300), 2.0)],
)
def test_it_is_none_at_even_odds_and_one_where_it_decides(seen, way):
    assert Course().add(5.0, [seen]).points == ((5.0, (way,)),)


def test_where_a_planned_look_decided_it_is_what_that_one_saw():
    course = Course().add(1.0, [finding(12.0)]).add(2.0, [finding(12.0, "ROLLBACK", most=130.0)])

    assert course.points[-1][1][0] > 1 > course.points[0][1][0]


def test_thinned_it_keeps_the_first_look_and_the_last():
    course = Course()
    for at in range(1000):
        course = course.add(float(at), [finding(1.0 + at)])

    assert (course.points[0][0], course.points[-1][0]) == (0.0, 999.0)


def test_a_finding_without_odds_is_no_point():
    drift = {"metric": "error_rate", "kind": "change", "decision": "HOLD", "evidence": None, "threshold": None}

    assert Course().add(1.0, [drift]) == Course()


def counted(batches, **more):
    return {**finding(1.0), "gate": "error_rate max_increase 0.5", "batches": batches, "effect": 0.1, "canary": 3.0, **more}


def test_intervals_are_searched_for_ever_more_rarely():
    """It takes longer than judging. In a thousand batches a score of times, and dense where it still moves."""
    asked, before = [], []
    for batches in range(1, 1_001):
        now = [counted(batches)]
        asked += [batches] if worth_bounding(now, before) else []
        before = now

    assert asked[:4] == [1, 2, 3, 4]
    assert len(asked) < 30
    assert max(later / one for one, later in itertools.pairwise(asked[3:])) < 1.7


def test_nothing_new_is_not_searched_and_a_new_stage_is():
    assert worth_bounding([counted(1)], [counted(1)]) == []
    assert worth_bounding([counted(0)], []) == []
    assert len(worth_bounding([counted(1)], [counted(400)])) == 1
    assert len(worth_bounding([counted(400, interval=[0.0, 1.0])], [counted(400)])) == 1
    assert len(worth_bounding([counted(90)], [counted(20)])) == 1  # a process that was away comes back


def test_an_absolute_gate_is_bounded_by_what_the_candidate_shows():
    relative, absolute = counted(5, interval=[-0.1, None]), counted(5, gate="error_rate max 0.05", interval=[0.0, 0.4])
    course = Course().add(7.0, [relative, absolute], [relative, absolute])

    assert course.bounds == ((7.0, ((-0.1, 0.1, None), (0.0, 3.0, 0.4))),)


def test_what_an_older_version_wrote_is_read():
    course = Course().add(1.0, [finding(1.0)])
    body = course.to_dict()
    del body["bounds"]

    assert Course.from_json(body) == course
