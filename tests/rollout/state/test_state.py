"""The table of states: whole, closed, and always open downwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from progflags.rollout import TRANSITIONS, Act, State, legal, steps
from progflags.rollout.state._state import ACTIVE, SERVING, VERBS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rollout-states.md"


def test_every_state_has_its_row():
    assert set(TRANSITIONS) == set(State)


def test_every_state_can_be_reached_and_every_act_is_used():
    reached = {target for acts in TRANSITIONS.values() for targets in acts.values() for target in targets}
    used = {act for acts in TRANSITIONS.values() for act in acts}

    assert reached == set(State) - {State.DRAFT}
    assert used == set(Act)


@pytest.mark.parametrize("state", sorted(SERVING))
def test_down_is_open_from_wherever_somebody_is_served(state):
    """A verdict, a brake and a person can roll back from every state that serves the candidate."""
    for act in (Act.ROLLBACK, Act.FAILED, Act.BRAKED):
        assert TRANSITIONS[state][act] == (State.ROLLING_BACK,)


def test_after_a_rollback_only_a_person_goes_up_again():
    """From rolled_back and aborted every step is a verb; a controller finds nothing to do there."""
    for state in (State.ROLLED_BACK, State.ABORTED, State.SUPERSEDED, State.COMPLETED, State.DRAFT):
        assert set(TRANSITIONS[state]) <= set(VERBS)
        assert state not in ACTIVE


def test_rolling_back_has_one_way_out():
    assert TRANSITIONS[State.ROLLING_BACK] == {Act.DONE: (State.ROLLED_BACK,)}


def test_the_legal_verbs_are_those_of_the_table():
    assert legal(State.PAUSED) == (Act.RESUME, Act.ROLLBACK, Act.ABORT)


def test_the_documented_steps_are_the_table():
    """The page in the reference is printed from TRANSITIONS: after a change, put what `python -m progflags.rollout.state._state` prints there."""
    assert PAGE.read_text().endswith(steps())


def test_every_arrow_of_the_documented_diagram_is_a_step():
    """It leaves steps out, so that it can be read; it makes none up."""
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", PAGE.read_text(), re.DOTALL)
    arrows = re.findall(r"(\w+) --> (\w+): (.+)", drawn)

    assert len(arrows) > 12
    for source, target, acts in arrows:
        for state in SERVING if source == "served" else {State(source)}:
            assert all(State(target) in TRANSITIONS[state][Act(act.lower())] for act in acts.split(", "))
