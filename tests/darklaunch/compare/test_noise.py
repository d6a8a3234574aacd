"""What differs anyway is found by running the control twice; rules for it are proposed, not slipped in."""

import itertools
import uuid

import pytest

from progflags.darklaunch import dark_launch
from progflags.darklaunch.compare._noise import wilson


def noisy(flags, **options):
    clock = itertools.count(1_000_000.0, 0.5)

    def answer():
        return {"id": str(uuid.uuid4()), "score": 1.0 + next(clock) % 7 * 1e-9, "name": "x"}

    return dark_launch("on", candidate=lambda: answer() | {"name": "y"}, flags=flags, executor="inline", aa_rate=1.0, **options)(answer)


def test_rules_are_proposed_with_their_evidence_and_change_nothing_until_approved(flags, engine):
    function = noisy(flags)
    for _ in range(20):
        function()
    experiment = function.dark_launch

    proposals = {proposal.path: proposal for proposal in experiment.proposals()}
    assert set(proposals) == {"$.id", "$.score"}
    assert (proposals["$.id"].rule.kind, proposals["$.score"].rule.kind) == ("opaque", "tolerance")
    assert proposals["$.id"].noisy == proposals["$.id"].pairs == 20
    assert experiment.stats().mismatches["$.id"] == 20
    assert experiment.noise.signal("$.name")
    assert not experiment.noise.signal("$.id")

    experiment.approve("$.id", "$.score")
    before = experiment.stats().mismatches
    for _ in range(10):
        function()
    assert experiment.stats().mismatches == before | {"$.name": 30}
    assert experiment.proposals() == []


def test_learning_may_be_asked_to_apply(flags, engine):
    function = noisy(flags, learn="apply")
    for _ in range(30):
        function()

    assert {rule.path for rule in function.dark_launch.comparer.rules} == {"$.id", "$.score"}


def test_the_repeat_sees_the_same_arguments_and_is_timed_apart(flags, engine):
    seen = []

    def control(box):
        seen.append(list(box))
        box.append("edited")
        return len(box)

    def candidate(box):
        box.clear()
        return 2

    function = dark_launch("on", candidate=candidate, flags=flags, aa_rate=1.0)(control)
    assert function([1]) == 2
    assert function.dark_launch.drain()

    assert seen == [[1], [1]]
    stats = function.dark_launch.stats()
    assert (stats.repeat.n, stats.outcomes["match"]) == (1, 1)


async def test_coroutines_are_repeated_too(flags, engine):
    ran = []

    async def control():
        ran.append(1)
        return {"id": len(ran)}

    async def candidate():
        return {"id": 1}

    function = dark_launch("on", candidate=candidate, flags=flags, aa_rate=1.0)(control)
    assert await function() == {"id": 1}
    assert await function.dark_launch.adrain()

    assert len(ran) == 2
    assert function.dark_launch.noise.pairs == 1


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 100, 0.0018, 0.0545)]
)
def test_wilsons_interval_has_the_published_values(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-4)
