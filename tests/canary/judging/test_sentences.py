"""Thirty situations, and the sentence that each gives: as docs/reference/verdict-sentences.md shows them."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags.canary import CanaryAnalyzer, CanaryConfig, CanaryReport, Evidence, Gate, Kind, Rate, judge, parse_gate
from progflags.canary.judging import odds
from support.sizes import size
from support.windows import arm, window

PAGE = Path(__file__).parents[3] / "docs/reference/verdict-sentences.md"
LIVE = {"baked": 900.0, "bake": 900.0}


def of(control, candidate, **options):
    """Rates of one metric on both sides, once."""
    return lambda gate: CanaryAnalyzer([parse_gate(gate, **options)]).analyze(
        {parse_gate(gate).metric: control}, {parse_gate(gate).metric: candidate}
    )


def slow(factor, n=5000):
    """Durations around 80 ms and around as many times that, spread as latencies are, without any luck in them."""
    bell = NormalDist()
    return [0.08 * factor * 2.0 ** bell.inv_cdf(((i * 2654435761) % n + 0.5) / n) for i in range(n)]


def live(control, candidate, batches=10, options=None, **asked):
    """Batches of a rollout's stage, at the end of its bake unless said otherwise."""

    def judged(gate):
        evidence = Evidence.start([parse_gate(gate, **(options or {}))], looks=0)
        for _ in range(batches):
            evidence = evidence.add(window(control, candidate))
        return judge(evidence, **{**LIVE, **asked})

    return judged


SITUATIONS = {
    # -- out it goes
    "five times the errors": ("error_rate<=+10%", of(Rate(12, 10_000), Rate(61, 10_000))),
    "a third more errors, of many": ("error_rate<=+10%", of(Rate(900, 60_000), Rate(1_300, 60_000))),
    "errors where there were none": ("error_rate<=+0%", of(Rate(0, 10_000), Rate(40, 10_000))),
    "more errors than allowed": ("error_rate<=2%", of(Rate(12, 10_000), Rate(600, 10_000))),
    "fewer conversions": ("conversion>=-2%", of(Rate(812, 10_000), Rate(600, 10_000))),
    "fewer conversions than allowed": ("conversion>=5%", of(Rate(812, 10_000), Rate(300, 10_000))),
    "p99 half as slow again": ("p99_latency<=+10%", of(slow(1.0), slow(1.5))),
    "p99 beyond its bound": ("p99_latency<=500ms", of(slow(1.0), slow(2.0))),
    "bad, and the bake has just begun": ("error_rate<=+10%", live(arm(200, 2), arm(200, 40), baked=10.0)),
    # -- not yet
    "a few errors more, which may be chance": ("error_rate<=+10%", of(Rate(12, 10_000), Rate(19, 10_000))),
    "too little traffic to see a doubling": ("error_rate<=+10%", of(Rate(12, 10_000), Rate(12, 10_000))),
    "too little traffic, in a rollout": ("error_rate<=+10%", live(arm(1000, 1, users=64), arm(1000, 1, users=64))),
    "too few conversions to see a fall": ("conversion>=-2%", of(Rate(812, 10_000), Rate(800, 10_000))),
    "no errors at all, and nothing said of what matters": ("error_rate<=+10%", of(Rate(0, 10_000), Rate(0, 10_000))),
    "no errors at all, and a tenth of a point matters": ("error_rate<=+10%", of(Rate(0, 1_000), Rate(0, 1_000), min_absolute=0.001)),
    "to be proven, and not yet": ("error_rate<=+10%", of(Rate(12, 10_000), Rate(12, 10_000), policy="proven")),
    "an absolute bound to be proven, and not yet": ("error_rate<=1%", of(Rate(2, 300), Rate(2, 300), policy="proven")),
    "a warning": ("error_rate<=+10%!warning", of(Rate(12, 10_000), Rate(61, 10_000))),
    "both are beyond the same bound": ("error_rate<=2%", live(arm(2000, 100), arm(2000, 100))),
    "still baking": ("error_rate<=+10%", live(arm(2000, 20), arm(2000, 20), baked=300.0)),
    "few samples": ("error_rate<=+10%", live(arm(500, 5), arm(6, 0))),
    "nothing on the candidate's side": ("error_rate<=+10%", live(arm(500, 5), None)),
    "nothing lately": ("error_rate<=+10%", live(arm(2000, 20), arm(2000, 20), fresh=False)),
    "an event that nobody tracks": ("conversion>=-2%", live(arm(2000, 20), arm(2000, 20))),
    "users are not split as planned": ("error_rate<=+10%", live(arm(2000, 20, units=900), arm(2000, 20, units=100), share=0.5)),
    # -- on it goes
    "healthy, with traffic enough": ("error_rate<=+10%", of(Rate(1_200, 100_000), Rate(1_190, 100_000))),
    "healthy, and asked no more than that": ("error_rate<=+10%", of(Rate(12, 10_000), Rate(12, 10_000), policy="observed")),
    "healthy, and proven": ("error_rate<=+25%", of(Rate(1_200, 100_000), Rate(1_190, 100_000), policy="proven", min_absolute=0.001)),
    "well below its bound": ("error_rate<=2%", of(Rate(12, 10_000), Rate(12, 10_000))),
    "as fast as before": ("p99_latency<=+25%", of(slow(1.0, 40_000), slow(1.0, 40_000))),
    "faster than before": ("p99_latency<=+10%", of(slow(1.0, 40_000), slow(0.8, 40_000))),
    "more errors, too few to matter": ("error_rate<=+10%", of(Rate(100, 1_000_000), Rate(300, 1_000_000), min_absolute=0.001)),
}


def rows():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and " | `" in line]
    return {cells[0]: tuple(cells[1:]) for line in lines for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]}


def told(situation):
    gate, judged = SITUATIONS[situation]
    verdict = judged(gate)
    return f"`{gate}`", str(verdict.decision), verdict.reason


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_page_says_what_the_judge_says(situation):
    assert rows()[situation] == told(situation)


def test_the_page_has_every_situation_and_no_other():
    assert list(rows()) == list(SITUATIONS)
    assert len(SITUATIONS) >= 30


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_sentence_is_for_an_engineer(situation):
    """Half a word of statistics, a number in seconds that nobody converts, or an infinity is not."""
    reason = told(situation)[2]

    assert not any(word in reason.lower() for word in ("evidence", "p =", "alpha", "wealth", "null", "inf", "nan", "e+", "e-0"))
    assert len(reason) < 200


# -- no sentence contradicts its numbers ----------------------------------------------------------------------------------------

GATES = st.sampled_from([
    {"metric": "error_rate", "max_increase": 0.1},
    {"metric": "error_rate", "max_increase": 0.0, "min_absolute": 0.001},
    {"metric": "conversion", "max_decrease": 0.05},
    {"metric": "conversion", "max_decrease": 0.05, "max_increase": 0.5, "policy": "observed"},
    {"metric": "error_rate", "max": 0.02, "policy": "proven"},
    {"metric": "conversion", "min": 0.05},
    {"metric": "mean_margin", "max_decrease": 0.1},
    {"metric": "mean_margin", "max_increase": 0.1, "severity": "warning"},
    {"metric": "mean_margin", "min": -2.0},
    {"metric": "p90_latency", "max_increase": 0.1, "policy": "no_alarm"},
    {"metric": "p90_latency", "max": 0.2},
])  # fmt: skip
COUNTS = st.tuples(st.sampled_from([0, 1, 3, 40, 700]), st.sampled_from([800, 5_000]))
SPREAD = st.tuples(st.sampled_from([-3.0, -0.4, 0.0, 0.1, 2.0]), st.sampled_from([0.0, 0.3]), st.sampled_from([120, 400]))


def side(gate, counts, spread):
    if gate.kind == Kind.RATE:
        return {gate.metric: Rate(*counts)}
    middle, width, n = spread
    values = [middle + width * NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    return {gate.sample: values if gate.kind == Kind.MEAN else [abs(value) for value in values]}


@settings(max_examples=size(60, full=3000), deadline=None)
@given(GATES, COUNTS, COUNTS, SPREAD, SPREAD, st.sampled_from(["sequential", "fixed", "kayenta"]))
def test_no_sentence_contradicts_its_numbers(gate, few, many, one, other, method):
    """Whatever happened: a rise is called a rise, a fall a fall, a limit is written as it is, and no number is infinite or missing."""
    gate = Gate(**gate)
    report = CanaryAnalyzer(CanaryConfig([gate], method=method)).analyze(side(gate, few, one), side(gate, many, other))

    for finding in report.findings:
        agrees(finding, gate, method)
    page = f"{report}\n{report.to_html().split('The numbers as JSON')[0]}"
    assert not re.search(r"[+-](inf|nan)|\b(inf|nan) ", page)
    assert not re.search(r"[+] ?-|-[+]|--\d", page.split("</style>")[-1])


@pytest.mark.parametrize("looks", [0, 1])
def test_the_odds_of_the_table_are_those_of_the_sentence(looks):
    """Also where a planned look decided, and the open evidence had seen less by then."""
    evidence = Evidence.start([Gate("error_rate", max_increase=0.1)], looks=looks)
    for twelfth in range(1, 13):
        evidence = evidence.add(window(arm(200, 2), arm(200, 3 if twelfth < 6 else 7))).look(twelfth / 12)
    verdict = judge(evidence, baked=900, bake=900)
    finding = verdict.findings[0]

    assert f"{odds(finding.evidence_max)} by chance; {odds(finding.threshold)} decides" in finding.reason
    assert f"{odds(finding.evidence_max)} ({odds(finding.threshold)} decides)" in str(CanaryReport.of(verdict, method="", alpha=0.05))
    assert finding.p_value == pytest.approx(1 / finding.evidence_max)


def agrees(finding, gate, method):
    base, canary, effect, reason = finding.baseline, finding.canary, finding.effect, finding.reason
    if effect is not None:
        assert (effect > 0, effect < 0) == (canary > base, canary < base)
        said = re.search(r"against .*? \((.*?)[;)]", reason)
        if said and "less than" not in reason:
            how = said[1]
            assert how.startswith("-" if effect < 0 else ("+", "×", "from nothing", "0 %")) or how == "below nothing", reason
            if how[0] in "+-":
                assert float(how[:-2]) == pytest.approx(100 * effect, rel=0.006, abs=0.51 if abs(effect) > 0.1 else 0.001), reason
            if how[0] == "×":
                assert base > 0, reason
                assert float(how[1:]) == pytest.approx(canary / base, rel=0.006), reason
    for word, inside in (("at most", gate.max), ("at least", gate.min)):
        if inside is not None and f"where {word}" in reason and method == "sequential":
            within = canary <= inside if word == "at most" else canary >= inside
            assert within or "would have been caught" not in reason, reason
    rises = gate.max_decrease is None and gate.min is None
    if gate.max_increase is None or gate.max_decrease is None:
        assert f"a {'fall' if rises else 'rise'} of" not in reason, reason
    if "worse than that" in reason and effect is not None and (gate.max_increase is None or gate.max_decrease is None):
        assert (effect > 0) == rises, reason
