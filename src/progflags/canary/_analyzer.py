"""CanaryAnalyzer: the same judge, over data that is already there."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final

from progflags.canary._config import CanaryConfig
from progflags.canary._gate import ANY, Gate
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision, Kind
from progflags.canary.counting import CANDIDATE, CONTROL, Moments, Sample, Totals, Window, exact, thresholds
from progflags.canary.judging import judge
from progflags.canary.report import CanaryReport
from progflags.canary.samples import Rate, Series, dealt, dropped_of, of_side, outcomes, series_for
from progflags.canary.sequential import Evidence, not_zero

__all__ = ["CanaryAnalyzer"]

_PIECES: Final = 8  # batches that one unordered array is dealt into, after the first part of the control has set the thresholds
_WARM: Final = 200
_FEWEST: Final = 5  # batches, each of which is a cluster


class CanaryAnalyzer:
    """
    Judges a canary from measurements of both sides.

    Pure: it keeps nothing between calls, reads no clock, and the same data give the same report.

        gate = pf.Gate("error_rate", max_increase=0.25)
        analyzer = pf.CanaryAnalyzer(pf.CanaryConfig(gates=[gate]))
        before, after = pf.Rate(12, 10_000), pf.Rate(31, 10_000)
        report = analyzer.analyze({"error_rate": before}, {"error_rate": after})
        report.decision, report.results["error_rate"].reason
    """

    def __init__(self, config: CanaryConfig | Iterable[Gate]) -> None:
        self.config = config if isinstance(config, CanaryConfig) else CanaryConfig(config)

    def analyze(self, baseline: Any, canary: Any) -> CanaryReport:
        """
        Judge `canary` against `baseline`.

        Each side is a mapping from metric to data, a DataFrame, or the path of a CSV or JSON-lines file. Data is a
        `pf.Rate`, an array of numbers (latencies in seconds), or a list of either: batches in time order, zipped between
        the sides. Values that are not finite, or negative where that can't be, are dropped and counted.

        Raises:
            TypeError, ValueError: data that is none of these; the message says what it is.
        """
        sides = of_side(baseline), of_side(canary)
        gates = tuple(g for gate in self.config.gates for g in _spelled_out(gate, sides, self.config.alternative))
        if self.config.method == "sequential":
            return self._sequential(gates, *sides)
        if self.config.method == "fixed":
            from progflags.canary.compared import fixed

            return fixed(self.config, gates, *sides)
        from progflags.canary.compared import kayenta

        return kayenta(gates, *sides)

    def analyze_windows(self, windows: Iterable[Window | Mapping[str, Any]]) -> CanaryReport:
        """
        Judge recorded batches: windows, or their JSON, in time order. See `progflags replay`.

        Raises:
            ValueError: one of them can't be read.
        """
        evidence = Evidence.start(self.config.gates, self.config.alpha, restarts=False, looks=int(self.config.look), steps=1)
        path = []
        for item in windows:
            evidence = evidence.add(item if isinstance(item, Window) else Window.from_json(item))
            path.append(evidence)
        verdict = judge(evidence.look(), baked=0.0, bake=0.0, min_samples=self.config.min_samples)
        return CanaryReport.of(verdict, method="sequential", alpha=self.config.alpha, evidence=evidence, path=path)

    # -- sequential -----------------------------------------------------------------------------------------------------

    def _sequential(self, gates: tuple[Gate, ...], baseline: Mapping[str, Any], canary: Mapping[str, Any]) -> CanaryReport:
        pairs: dict[str, tuple[Gate, Series | None, Series | None]] = {}
        for gate in gates:
            pairs.setdefault(_key(gate), (gate, *_matched(*(outcomes(gate, series_for(gate, side)) for side in (baseline, canary)))))
        modes = {one.metric: "ratio" for gate, b, c in pairs.values() if not (_clusters(b) and _clusters(c)) for one in gate.each}
        warm = min((_warm(b) for _, b, _ in pairs.values() if b is not None and b.values and b.whole), default=_WARM)
        evidence = Evidence.start(gates, self.config.alpha, modes=modes, restarts=False, warm=warm, looks=int(self.config.look), steps=1)
        path = []
        for gate, b, c in pairs.values():
            for batch in _batches(gate, b, c, thresholds(gates)):
                evidence = evidence.add(batch)
                path.append(evidence)
        verdict = judge(evidence.look(), baked=0.0, bake=0.0, min_samples=0)
        found = tuple(_enough(finding, *_of(finding, gates, pairs), self.config.min_samples) for finding in verdict.findings)
        told = replace(_again(verdict, found), notes=(*verdict.notes, *_unnamed(evidence), *dropped_of(pairs.values())))
        return CanaryReport.of(told, method="sequential", alpha=self.config.alpha, evidence=evidence, path=path)


def _spelled_out(gate: Gate, sides: tuple[Mapping[str, Any], Mapping[str, Any]], alternative: str) -> list[Gate]:
    """The gate for each metric it means, and both ways round where any difference counts."""
    if gate.metric == ANY:
        names = sorted({*sides[0], *sides[1]})
        every = [_anomaly(gate, name, next(side[name] for side in sides if name in side)) for name in names]
        return every or [gate]  # of nothing: it holds, as it does in a rollout
    if gate.kind == Kind.GAUGE and gate.relative:
        gate = replace(gate, kind=Kind.MEAN)  # here both sides have readings of their own
    if gate.kind == Kind.RATE and any(_per_exposure(side.get(gate.metric)) for side in sides):
        gate = replace(gate, kind=Kind.COUNT)  # no share: there may be more events than hours
    if alternative == "two-sided" and gate.relative and gate.anomaly is None:
        bound = gate.max_decrease if gate.max_increase is None else gate.max_increase
        low = min(bound or 0.0, 0.999) if gate.max_decrease is None else gate.max_decrease
        high = bound if gate.max_increase is None else gate.max_increase
        return [replace(gate, max_increase=high, max_decrease=low, direction=None)]
    return [gate]


def _per_exposure(data: Any) -> bool:
    rates = data if isinstance(data, (list, tuple)) else (data,)
    return any(isinstance(rate, Rate) and rate.trials is None for rate in rates)


def _anomaly(gate: Gate, name: str, data: Any) -> Gate:
    series = Series.of(data, signed=True)
    known = Gate(name, max=0)
    kind = known.kind if series.rates or known.kind == Kind.QUANTILE else Kind.MEAN
    kind = Kind.RATE if series.rates else kind
    down = "lower_is_better" if name == "error_rate" or "latency" in name else None
    return Gate(name, anomaly=False, kind=kind, direction=down, severity=gate.severity, weight=gate.weight, policy=gate.policy)


def _key(gate: Gate) -> str:
    """Gates that feed on the same data share their batches."""
    return gate.metric if gate.kind in {Kind.RATE, Kind.COUNT, Kind.GAUGE} else f"{gate.sample} as {gate.kind}"


def _matched(b: Series | None, c: Series | None) -> tuple[Series | None, Series | None]:
    """One rate against a list of them has no order to be zipped by: the list counts as one."""
    if b is not None and c is not None and b.rates and c.rates and 1 in {len(b.rates), len(c.rates)} and len(b.rates) != len(c.rates):
        return replace(b, rates=(b.pooled,), whole=True), replace(c, rates=(c.pooled,), whole=True)
    return b, c


def _unnamed(evidence: Evidence) -> tuple[str, ...]:
    """What alpha holds for: measurements come without their users."""
    if not any(claim.relative for claim in evidence.claims):
        return ()
    every = all(evidence.independent(claim) for claim in evidence.claims)
    what = (
        "each request counts as independent"
        if every
        else "a batch is one cluster, and requests of one user in several count as independent"
    )
    return (f"alpha {evidence.alpha:g} holds where {what}: nobody said whose they are",)


def _rates(series: Series | None) -> bool:
    return series is not None and bool(series.rates)


def _clusters(series: Series | None) -> bool:
    """Whether a side came in batches enough to tell how its events cluster; fewer, or one piece, are taken for independent."""
    return series is not None and not series.whole and max(len(series.rates), len(series.values)) >= _FEWEST


def _warm(control: Series) -> int:
    """How much of one array sets the first thresholds: at most half, 200 where there is plenty."""
    return int(max(1, min(max(_WARM, control.n // 10), control.n // 2)))


def _batches(gate: Gate, b: Series | None, c: Series | None, bounds: Mapping[str, tuple[float, ...]]) -> list[Window]:
    if gate.kind == Kind.GAUGE and not _rates(c):
        readings = [] if c is None else c.flat
        return [Window("", 0, {}, {gate.metric: Moments(1, exact(value), exact(value) ** 2)}) for value in readings]
    if _rates(b) or _rates(c):
        pairs = zip_longest(*((s.rates if s else ()) for s in (b, c)))
        return [_window(*(_counted(gate, rate) for rate in pair)) for pair in pairs]
    exactly = bounds.get(gate.sample, ())
    rows = [_pieces(series, gate, exactly, first=series is b) if series is not None else [] for series in (b, c)]
    return [_window(*(totals or Totals() for totals in pair)) for pair in zip_longest(*rows)]


def _pieces(series: Series, gate: Gate, bounds: tuple[float, ...], *, first: bool) -> list[Totals]:
    """
    A side's batches. One array has no order: it is dealt out, always the same way.

    A quantile's threshold must be known before what it is held against: the control's first part comes alone.
    """
    if gate.kind == Kind.QUANTILE and series.whole and series.values:
        warm = _warm(series) if first else 0
        if hasattr(series.values[0], "dtype"):
            found = dealt(series.values[0], bounds, warm=warm, pieces=_PIECES)
            return [Totals(samples={gate.sample: sample}) if sample.n else Totals() for sample in found]
        values = sorted(series.values[0])  # so that only the values count
        random.Random(0).shuffle(values)
        rest = values[warm:]
        return [_sampled(gate, tuple(part), bounds) for part in (values[:warm], *(rest[i::_PIECES] for i in range(_PIECES)))]
    if series.whole:
        return [_sampled(gate, tuple(series.flat), bounds)]
    return [_sampled(gate, batch, bounds) for batch in series.values]


def _counted(gate: Gate, rate: Rate | None) -> Totals:
    return Totals() if rate is None else Totals(rates={gate.metric: (rate.events, rate.base)})


def _sampled(gate: Gate, values: tuple[float, ...] | None, bounds: tuple[float, ...]) -> Totals:
    if not values:
        return Totals()
    if gate.kind == Kind.MEAN:  # of any sign, so as moments; without requests, for each metric has its own denominator
        moments = Moments(len(values), sum(map(exact, values)), sum(exact(value) ** 2 for value in values))
        some = sum(1 for value in values if value)
        return Totals(events={gate.sample: moments}, rates={not_zero(gate.sample): (some, len(values))})
    return Totals(samples={gate.sample: Sample.of(values, bounds)})


def _window(baseline: Totals, canary: Totals) -> Window:
    return Window("", 0, {CONTROL: baseline, CANDIDATE: canary})


# -- what the data's condition makes of a finding ---------------------------------------------------------------------------


def _of(
    finding: MetricResult, gates: Iterable[Gate], pairs: Mapping[str, tuple[Gate, Series | None, Series | None]]
) -> tuple[Series | None, Series | None]:
    gate = next(gate for gate in gates if gate.metric == finding.metric)
    return pairs[_key(gate)][1:]


def _enough(finding: MetricResult, b: Series | None, c: Series | None, least: int) -> MetricResult:
    """A finding that may pass only if its data are enough and sound."""
    if finding.kind == Kind.GAUGE:
        return finding
    for name, series in (("baseline", b), ("canary", c)):
        if series is not None and series.spoiled:  # what is left may be any part of what was: it proves nothing, good or bad
            return _held(finding, f"{finding.metric}: {series.dropped} values of the {name} are not finite or negative, more than 1 %")
    if finding.decision == Decision.ROLLBACK:
        return finding
    for name, series, n in (("baseline", b, finding.n_baseline), ("canary", c, finding.n_canary)):
        if finding.kind == Kind.RATE and series is not None and series.values:
            return _held(
                finding, f"{finding.metric}: numbers are no rate: give pf.Rate, or 0 and 1; of other numbers gate the mean or a quantile"
            )
        needed = name == "canary" or " max_" in finding.gate or "anomaly" in finding.gate
        if needed and finding.decision == Decision.PASS and series is not None and not _exposed(series) and n < least:
            return _held(finding, f"{finding.metric}: {n} of {least} samples in the {name}")
    return finding


def _exposed(series: Series) -> bool:
    """Counts per time have no number of samples."""
    return any(rate.trials is None for rate in series.rates)


def _held(finding: MetricResult, reason: str) -> MetricResult:
    return replace(finding, decision=Decision.HOLD, passed=False, reason=reason)


def _again(verdict: Verdict, findings: tuple[MetricResult, ...]) -> Verdict:
    """The verdict that these findings make."""
    for decision in (Decision.ROLLBACK, Decision.HOLD):
        for finding in findings:
            if finding.decision == decision:
                return replace(verdict, decision=decision, reason=finding.reason, findings=findings)
    return replace(verdict, findings=findings)
