"""decide: total, and in the right order. Walked at random, with every sight there can be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.canary import Decision
from progflags.errors import TransitionRefused
from progflags.rollout import TRANSITIONS, Act, Move, Plan, Record, Sight, State, advance, decide
from progflags.rollout.state._look import settle
from progflags.rollout.state._state import SERVING, VERBS
from progflags.rollout.state._verbs import Ask, ask

PLANS = [
    Plan.of({"stages": [{"percent": 1, "bake": "10s"}, {"percent": 10, "bake": "20s"}], "watch": "30s"}),
    Plan.of({"stages": [{"percent": 5, "bake": "0s", "deadline": "60s", "on_insufficient": "rollback"}], "watch": "0s"}),
    Plan.of({"stages": [{"percent": 10}, {"percent": 50}], "approval": {"before": [10, 50, 100]}, "holdback": 1}),
    Plan.of({"stages": [], "watch": "5s"}),
]

sights = st.builds(
    Sight,
    verdict=st.sampled_from([None, *Decision]),
    why=st.just("because"),
    sampled=st.booleans(),
    closed=st.sampled_from(["", "frozen"]),
    braked=st.sampled_from(["", "boom"]),
    defined=st.booleans(),
    cooled=st.booleans(),
)
asks = st.builds(
    Ask,
    verb=st.sampled_from(VERBS),
    reason=st.just("please"),
    closed=st.sampled_from(["", "frozen"]),
    cooling=st.sampled_from([0.0, 60.0]),
    full=st.booleans(),
    force=st.booleans(),
    wait=st.booleans(),
)


@st.composite
def walks(draw):
    """A record somewhere along a random life, reached by legal steps only, and every step that led there."""
    record = Record("x", draw(st.sampled_from(PLANS)))
    steps = []
    for _ in range(draw(st.integers(0, 25))):
        if draw(st.booleans()):
            record = replace(
                record,
                baked=record.baked + draw(st.sampled_from([0.0, 1000.0])),
                waited=record.waited + draw(st.sampled_from([0.0, 1e6])),
                samples={"control": 1000, "candidate": 1000},
            )
            first, sight = None, draw(sights)
        else:
            sight = draw(sights)
            try:
                first = ask(record, draw(asks))
            except TransitionRefused:
                continue
            if first is None:
                continue
        for move in settle(record, sight, first).moves:
            before, record = record, advance(record, move, actor="somebody", at=1.0)
            steps.append((before, move, record))
    return record, steps


@given(walk=walks(), sight=sights)
@settings(max_examples=100)
def test_decide_has_an_answer_for_everything_and_only_steps_of_the_table(walk, sight):
    record, steps = walk
    move = decide(record, sight)

    assert move is None or move.target in TRANSITIONS[record.state][move.act]
    assert all(after.state in TRANSITIONS[before.state][move.act] for before, move, after in steps)


@given(walk=walks(), sight=sights)
@settings(max_examples=100)
def test_bad_evidence_and_a_brake_roll_back_from_wherever_somebody_is_served(walk, sight):
    """No bake, deadline, approval, pause, window or freeze stands before a rollback."""
    record, _ = walk
    if not record.serving or not (sight.braked or sight.verdict is Decision.ROLLBACK):
        return

    rest = settle(record, sight).record

    assert rest.state is State.ROLLED_BACK
    assert rest.share == 0


@given(walk=walks())
@settings(max_examples=100)
def test_after_a_rollback_the_share_rises_only_by_a_persons_start_or_retry(walk):
    _, steps = walk
    down = False
    for before, move, after in steps:
        if move.act in (Act.START, Act.RETRY) and before.state is not State.HELD:
            down = False
        assert not (down and after.share > 0)
        down = down or after.state is State.ROLLING_BACK or after.state is State.ROLLED_BACK


@given(walk=walks())
@settings(max_examples=100)
def test_a_share_rises_one_stage_at_a_time_unless_a_person_says_full(walk):
    _, steps = walk
    for before, move, after in steps:
        if after.stage > before.stage + 1:
            assert move.act is Act.PROMOTE


@given(walk=walks(), sight=sights)
@settings(max_examples=100)
def test_a_closed_calendar_stops_every_promotion_of_the_controllers(walk, sight):
    record, _ = walk
    rest = settle(record, replace(sight, closed="frozen")).record

    assert rest.share <= record.share


@given(walk=walks(), sight=sights)
@settings(max_examples=100)
def test_only_passing_evidence_climbs(walk, sight):
    """HOLD and no verdict at all never raise a share that somebody is already served."""
    record, _ = walk
    if not record.serving or sight.verdict is Decision.PASS:
        return

    assert settle(record, sight).record.share <= record.share


@given(walk=walks(), wish=asks)
@settings(max_examples=100)
def test_a_verb_is_carried_out_or_refused_with_the_legal_ones(walk, wish):
    record, _ = walk
    try:
        move = ask(record, wish)
    except TransitionRefused as refused:
        told = refused
    else:
        told = None
    if told is not None:
        assert told.state == record.state
        assert all(Act(verb) in TRANSITIONS[record.state] for verb in told.legal)
        assert str(record.state) in str(told)
    else:
        assert move is None or move.target in TRANSITIONS[record.state][move.act]


@pytest.mark.parametrize("state", sorted(SERVING))
def test_a_pause_remembers_where_it_came_from(state):
    if state is State.PAUSED:
        return
    record = Record("x", PLANS[0], state=state, stage=0, baked=3.0)
    paused = advance(record, Move(Act.PAUSE, State.PAUSED, 0), actor="ann", at=1.0)
    resumed = advance(paused, ask(paused, Ask(Act.RESUME)), actor="ann", at=2.0)

    assert (paused.phase, resumed.state, resumed.baked, resumed.share) == (state, state, 3.0, record.share)


def test_a_step_that_is_not_in_the_table_is_refused():
    with pytest.raises(TransitionRefused, match="no step from draft"):
        advance(Record("x", PLANS[0]), Move(Act.PASSED, State.WATCHING, 2), actor="nobody", at=0.0)


def test_cool_down_doubles_with_each_rollback():
    record = Record("x", PLANS[0], state=State.ROLLED_BACK)
    waits = [replace(record, strikes=strikes).cool_down for strikes in (1, 2, 3, 4)]

    assert waits == [3600, 7200, 14_400, 28_800]


def test_a_completed_run_wipes_the_slate():
    done = Record("x", PLANS[0], state=State.COMPLETED, stage=2, strikes=3)
    again = advance(done, Move(Act.START, State.SCHEDULED, -1), actor="ann", at=0.0)

    assert (again.strikes, again.run, again.share) == (0, 1, 0)


@pytest.mark.parametrize("state", sorted(SERVING))
@pytest.mark.parametrize("sight", [Sight(verdict=Decision.ROLLBACK, why="worse"), Sight(braked="boom")])
@pytest.mark.parametrize("closed", ["", "frozen"])
def test_every_serving_state_rolls_back_on_bad_evidence_and_on_a_brake(state, sight, closed):
    record = Record("x", PLANS[0], state=state, stage=1, resumes=State.BAKING if state is State.PAUSED else None)

    rest = settle(record, replace(sight, closed=closed))

    assert [move.target for move in rest.moves] == [State.ROLLING_BACK, State.ROLLED_BACK]
    assert rest.record.share == 0


def test_a_pass_on_too_few_samples_does_not_climb():
    """Even if a judge said so."""
    few = Record("x", PLANS[0], state=State.JUDGING, stage=0, baked=10, samples={"control": 1000, "candidate": 99})

    assert decide(few, Sight(verdict=Decision.PASS)) is None
    assert decide(replace(few, samples={"control": 1000, "candidate": 100}), Sight(verdict=Decision.PASS)) is not None
