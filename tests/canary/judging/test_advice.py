"""What a verdict says beside its decision: sources that are no arm's, warnings among many, errors in clusters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.canary import CanaryAnalyzer, CanaryConfig, Decision, Evidence, Gate, Window, judge
from progflags.canary.counting._totals import Moments, Totals, exact
from progflags.canary.sequential._sequential import discoveries
from support.windows import arm, poisson, spread, window

ANYTHING = Gate("*", anomaly=False, policy="no_alarm")


def read(value, name="tickets", n=1):
    """A batch of an ordinary service, with a reading of one source."""
    batch = window(arm(1000, 10), arm(1000, 10))
    return Window(batch.flag, batch.revision, batch.arms, {name: Moments(n, n * exact(value), n * exact(value) ** 2)})


def judged(gates, stream, **options):
    evidence = Evidence.start(gates)
    for batch in stream:
        evidence = evidence.add(batch)
    return judge(evidence, baked=99, bake=1, **options)


# -- sources -----------------------------------------------------------------------------------------------------------------


def test_an_anomaly_gate_watches_sources_against_their_own_beginning():
    """Twenty readings around five, then fifteen: held, by name, and never rolled back, for a reading belongs to no arm."""
    before, after = [read(4 + i % 3) for i in range(20)], [read(15)] * 12

    assert judged([ANYTHING], [*before, *before]).decision == Decision.PASS
    verdict = judged([ANYTHING], [*before, *after])

    assert verdict.decision == Decision.HOLD
    assert "tickets is" in verdict.reason
    assert "a warning" in verdict.reason


def test_a_source_that_falls_to_nothing_is_an_anomaly_as_well():
    """Half or less of what it was."""
    assert judged([ANYTHING], [*[read(5)] * 20, *[read(0)] * 12]).decision == Decision.HOLD


def test_a_source_is_not_judged_before_its_beginning_is_known():
    """Nineteen readings are too few to know what is ordinary; the process's own load is never an anomaly."""
    assert judged([ANYTHING], [*[read(5)] * 10, *[read(500)] * 9]).decision == Decision.PASS
    assert judged([ANYTHING], [*[read(0.1, "cpu")] * 20, *[read(0.9, "cpu")] * 20]).decision == Decision.PASS


def test_noisy_sources_are_left_alone():
    """A hundred counts of tickets that scatter as counts do: at most one in twenty is ever held, looked at a hundred times."""
    held = 0
    for seed in range(100):
        rng, evidence = random.Random(seed), Evidence.start([ANYTHING])
        for _ in range(100):
            evidence = evidence.add(read(poisson(rng, 5)))
        held += any(
            finding.decision != Decision.PASS for finding in judge(evidence, baked=9, bake=1).findings if finding.metric == "tickets"
        )

    assert held <= 5


def test_the_beginning_of_a_source_survives_a_restart_and_another_share():
    """Read back from its document in the middle, at another revision: the same bits."""
    stream = [*[read(5)] * 25, *[read(15)] * 5]
    whole = there_and_back = Evidence.start([ANYTHING])
    for batch in stream:
        whole = whole.add(batch)
        there_and_back = Evidence.from_json(there_and_back.to_json()).add(batch)

    assert there_and_back == whole
    at_fifty = Window("f", 2, arms=stream[0].arms, gauges=stream[-1].gauges)
    assert whole.add(at_fifty).places == whole.places


# -- warnings among many -----------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), max_size=12), st.sampled_from([0.05, 0.1, 0.5]))
def test_what_stands_out_is_the_largest_set_that_pays_for_itself(wealths, rate):
    """By the definition: each of k found is worth at least m / (k rate), and no larger set is."""
    found = discoveries(wealths, rate)
    m = len(wealths)

    def pays(k):
        return k == 0 or sorted(wealths, reverse=True)[k - 1] * k * rate >= m

    assert len(found) == max(k for k in range(m + 1) if pays(k))
    assert all(wealths[i] >= wealths[j] for i in found for j in set(range(m)) - set(found))


@pytest.mark.parametrize("healthy", [0, 5, 18])
def test_at_most_one_in_ten_that_stand_out_does_so_by_chance(healthy):
    """Twenty sources of evidence, some of nothing: an e-value of a true null is 100 once in a hundred, else next to nothing."""
    rng, shares = random.Random(healthy), []
    for _ in range(2000):
        wealths = [100.0 if rng.random() < 0.01 else 0.0 for _ in range(healthy)] + [
            100.0 * (rng.random() < 0.9) for _ in range(20 - healthy)
        ]
        found = discoveries(wealths, 0.1)
        shares.append(sum(i < healthy for i in found) / max(1, len(found)))

    assert sum(shares) / len(shares) <= 0.1


def test_a_verdict_names_the_warnings_that_stand_out():
    """Four warnings, one of them true: the note names it, and the three others not."""
    names = ("signup", "search", "share", "save")
    gates = [Gate(name, max_decrease=0.02, severity="warning", policy="no_alarm") for name in names]

    def batch(signups):
        sides = [{"signup": n, "search": 200, "share": 200, "save": 200} for n in (200, signups)]
        return window(*(arm(1000, units=1000, events=side, users=64) for side in sides))

    assert judged(gates, [batch(200)] * 5).notes == ()
    verdict = judged(gates, [batch(120)] * 5)

    assert verdict.decision == Decision.HOLD
    assert verdict.notes == ("of 4 warnings signup stands out (at most one in ten by chance)",)
    assert verdict.to_dict()["notes"] == list(verdict.notes)


# -- users -------------------------------------------------------------------------------------------------------------------

RELATIVE = [Gate("error_rate", max_increase=0.5, policy="no_alarm")]


def test_a_verdict_says_what_requests_are_worth():
    """Errors of eight groups of users are no more witnesses than eight; it stands in the finding, too, and in its JSON."""
    few = {**arm(8000, users=64).cells, "x": spread(160, 8)}
    batch = window(Totals(8000, 8000, 160, cells=few), Totals(8000, 8000, 160, cells=few))

    verdict = judged(RELATIVE, [batch] * 5)

    assert verdict.notes == ("error_rate: requests of one user go together, so these are worth about 1 in 89 independent ones",)
    assert verdict.findings[0].design_effect == verdict.to_dict()["findings"][0]["design_effect"] == pytest.approx(89, abs=1)
    independent = judged(RELATIVE, [window(arm(6400, 64, users=64), arm(6400, 64, users=64))] * 5)
    assert (independent.findings[0].design_effect, independent.notes) == (1.0, ())


def test_a_user_who_is_much_of_the_candidate_is_named():
    """Two fifths of its traffic: said; nine tenths: nothing is known of the others, so nothing is rolled back, and nothing passes."""

    def judged_with(one):
        n = tuple(one if group == 7 else 100 for group in range(64))
        crowd = Totals(sum(n), sum(n), sum(n) // 4, cells={"n": n, "x": tuple(k // 4 for k in n)})
        gate = Gate("error_rate", max_increase=0.5, policy="observed")
        return judged([gate], [window(arm(64_000, 640, users=64), crowd)] * 5)

    assert "one user is 40 % of the candidate's traffic" in judged_with(4360).notes
    verdict = judged_with(60_000)
    assert verdict.decision == Decision.HOLD
    assert "one user is most of the candidate's traffic, so nothing is known of the others" in verdict.reason


def test_without_units_the_verdict_says_what_counts_as_independent():
    """Older workers, or an application that names nobody."""
    assert any(
        "is not known" in note and "record the unit" in note for note in judged(RELATIVE, [window(arm(900, 9), arm(900, 9))] * 5).notes
    )


# -- clusters -----------------------------------------------------------------------------------------------------------------

UNEVEN = tuple((1000, 60 if i == 0 else 10) for i in range(8))  # half of the errors come from one shard of the users
EVEN = tuple((1000, 16) for _ in range(8))


def test_absolute_bounds_on_clustered_errors_say_what_to_do():
    """The same errors spread evenly need no advice."""
    gates = [Gate("error_rate", max=0.05)]

    notes = judged(gates, [window(arm(8000, 130, shards=UNEVEN), arm(8000, 130))] * 3).notes

    assert any("come in clusters" in note and "bound it by max_increase" in note for note in notes)
    assert judged(gates, [window(arm(8000, 128, shards=EVEN), arm(8000, 128))] * 3).notes == ()


def test_a_report_prints_its_notes():
    """Beside the findings, as text and as JSON."""
    windows = [window(arm(8000, 130, shards=UNEVEN), arm(8000, 130)).to_json()] * 3

    report = CanaryAnalyzer(CanaryConfig([Gate("error_rate", max=0.05)])).analyze_windows(windows)

    assert "come in clusters" in str(report)
    assert any("come in clusters" in note for note in report.to_dict()["notes"])
