"""
False rollbacks and power, side by side: our judge, its parts, and the rules people use.

    python -m benchmarks.canary_simulation [--reps 200] [--seed 20240607] [--jobs 2] [--only WORD]

Sixty looks a bake, one batch a look (a minute, where nothing else is said), Poisson traffic; the candidate has 1 % of the
service, the control the other 99 % or a separate 1 %. Rules look every minute from the fifth on (Kayenta every fifth minute
of 40 replicates, for its intervals are slow). Every cell has a seed of its own, so one cell can be run again by itself.

textbook  two-sided Mann-Whitney on per-minute values at 0.05, and a mean beyond the threshold
kayenta   its label High on per-minute values
z         one-sided two-proportion test at 0.05, looked at every minute
OBF       the same, at Lan-DeMets O'Brien-Fleming bounds for 60 looks
av, bet   the rate-ratio test; betting on batches; at 1/20, nothing divided (latency: at the control's p99 only)
hybrid    a fifth of alpha on av, the rest on one exact look at minute 60
judge     progflags as shipped: betting (errors), ratio (conversions) or the tail mixture (latency), with restarts
events    the same with errors taken for independent (`modes`), as where a user counts once
planned   the same with one planned look at the end (`looks=1`)

A healthy row must show at most 5 % and three standard errors under judge, events and planned (in bursts: at most 5 % under
judge; errors are not independent there). A regressed row is held against `published`, what the independent simulation behind the
design found for bet, av and hybrid (latency: the tail mixture and hybrid), three points less. The last column says how it came out.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from scipy.stats import norm

from benchmarks.canary_rules import ALPHA, av, bet, first, hybrid, judged, kayenta, obf_bounds, textbook, z_score
from benchmarks.canary_traffic import LOOKS, Latency, Rates, Single
from progflags.canary import Gate, Window
from progflags.canary._sketch import Sample
from progflags.canary._totals import Totals

_CHUNK = 250  # replicates of histograms at a time: a gigabyte is enough
_KAYENTA = 40


@dataclass(frozen=True)
class Cell:
    """One row: its traffic, what is tolerated, and what it is held against. `published`: by column, percent; empty for a healthy one."""

    name: str
    table: str
    traffic: dict
    tolerated: float = 0.0
    up: bool = True
    bound: str = "healthy"  # healthy, bursts, power, none
    published: dict = field(default_factory=dict)

    @property
    def null(self):
        return 1 + self.tolerated if self.up else 1 - self.tolerated


# -- one cell, all rules ------------------------------------------------------------------------------------------------------

_BOUNDS = obf_bounds()
_BAR, _Z = math.log(1 / ALPHA), norm.ppf(1 - ALPHA)


def _rates(cell, rng, reps, cap):
    drawn = Rates(rng, reps, **cell.traffic)
    counts, null, up = drawn.counts, cell.null, cell.up
    values = [np.where(n > 0, x / np.maximum(n, 1), 0.0) for x, n in ((drawn.x_c, drawn.n_c), (drawn.x_b, drawn.n_b))]
    z, threshold = z_score(*counts, null, up), 0.10 if up else 0.02
    metric = "error_rate" if up else "conversion_rate"
    gate = Gate(metric, **{"max_increase" if up else "max_decrease": cell.tolerated}, policy="no_alarm")
    independent = {metric: "ratio"}

    def batches(row):
        for x_c, n_c, x_b, n_b in zip(*(v[row].tolist() for v in counts), strict=True):
            if up:
                yield Window("f", 1, {"control": Totals(n_b, n_b, x_b), "candidate": Totals(n_c, n_c, x_c)})
            else:
                yield Window(
                    "f", 1, {"control": Totals(n_b, rates={metric: (x_b, n_b)}), "candidate": Totals(n_c, rates={metric: (x_c, n_c)})}
                )

    found = {
        "textbook": textbook(*values, threshold, up),
        "kayenta": kayenta(*values, cap, up),
        "z": first(z > _Z),
        "OBF": first(z > _BOUNDS),
        "av": first(av(*counts, null, up) >= _BAR),
        "hybrid": hybrid(counts, null, up),
        "events": judged([gate], batches, reps, modes=independent),
        "planned": judged([gate], batches, reps, modes=independent, looks=1),
    }
    if up:
        found |= {"bet": first(bet(*counts, null) >= _BAR), "judge": judged([gate], batches, reps)}
    return found


def _latency(cell, rng, reps, cap):
    drawn = Latency(rng, reps, **cell.traffic)
    counts, values = drawn.counts(cell.tolerated), (drawn.p99(drawn.c), drawn.p99(drawn.b))
    z, gate = z_score(*counts, 1.0), Gate("p99_latency", max_increase=cell.tolerated, policy="no_alarm")

    def arm(n, row):
        return Totals(n, n, samples={"latency": Sample(n, 0, 0, drawn.base, tuple(row))})

    def batches(row):
        for n_c, n_b, c, b in zip(*(v[row].tolist() for v in (drawn.n_c, drawn.n_b, drawn.c, drawn.b)), strict=True):
            yield Window("f", 1, {"control": arm(n_b, b), "candidate": arm(n_c, c)})

    return {
        "textbook": textbook(*values, 0.05),
        "kayenta": kayenta(*values, cap),
        "z": first(z > _Z),
        "OBF": first(z > _BOUNDS),
        "av": first(av(*counts, 1.0) >= _BAR),
        "bet": first(bet(*counts, 1.0) >= _BAR),
        "hybrid": hybrid(counts, 1.0),
        "judge": judged([gate], batches, reps),
        "planned": judged([gate], batches, reps, looks=1),
    }


def _single(cell, rng, reps, _):
    """Decided after every single event, from the first on."""
    drawn, gate = Single(rng, reps, **cell.traffic), Gate("error_rate", max_increase=cell.tolerated, policy="no_alarm")

    def batches(row):
        for x_c, n_c, x_b, n_b in zip(*(v[row].tolist() for v in drawn.counts), strict=True):
            yield Window("f", 1, {"control": Totals(n_b, n_b, x_b), "candidate": Totals(n_c, n_c, x_c)})

    return {
        "z": first(z_score(*drawn.counts, cell.null) > _Z, since=1),
        "av": first(av(*drawn.counts, cell.null) >= _BAR, since=1),
        "bet": first(bet(*drawn.counts, cell.null) >= _BAR, since=1),
        "judge": judged([gate], batches, reps, since=1),
        "events": judged([gate], batches, reps, modes={"error_rate": "ratio"}, since=1),
    }


def _request(cell, rng, reps, _):
    """Latency, decided after every single request: arms alternate at random, all from one distribution."""
    part, requests, gate = cell.traffic["part"], cell.traffic["requests"], Gate("p99_latency", max_increase=0.0, policy="no_alarm")
    seconds, mine = rng.lognormal(math.log(0.08), 0.6, (reps, requests)), rng.random((reps, requests)) < part

    def batches(row):
        for value, candidate in zip(seconds[row].tolist(), mine[row].tolist(), strict=True):
            yield Window("f", 1, {"candidate" if candidate else "control": Totals(1, 1, samples={"latency": Sample.of((value,))})})

    return {"judge": judged([gate], batches, reps, since=1)}


def _together(cell, rng, reps, _):
    """Five healthy error rates in one rollout."""
    drawn = [Rates(rng, reps, **cell.traffic) for _ in range(5)]
    gates = [Gate(f"m{i}_rate", max_increase=0.0, policy="no_alarm") for i in range(5)]

    def batches(row):
        for t in range(LOOKS):
            c, b = ({f"m{i}_rate": (int(x[row, t]), int(n[row, t])) for i, (x, n) in enumerate(arm)} for arm in _arms(drawn))
            yield Window("f", 1, {"control": Totals(1, rates=b), "candidate": Totals(1, rates=c)})

    each = [first(z_score(*one.counts, 1.0) > _Z) for one in drawn]
    return {
        "z": np.max(each, axis=0),
        "judge": judged(gates, batches, reps),
        "events": judged(gates, batches, reps, modes={gate.metric: "ratio" for gate in gates}),
    }


def _arms(drawn):
    return [(one.x_c, one.n_c) for one in drawn], [(one.x_b, one.n_b) for one in drawn]


_DRAW = {"rates": _rates, "latency": _latency, "single": _single, "request": _request, "together": _together}


def run(job):
    """A cell's alarms by column, in chunks of replicates."""
    cell, reps, seed = job
    rng, parts, left = np.random.default_rng([seed, crc32(cell.name.encode())]), [], reps
    began = time.process_time()
    while left > 0:
        parts.append(_DRAW[cell.table.partition(",")[0]](cell, rng, min(left, _CHUNK), 0 if parts else _KAYENTA))
        left -= _CHUNK
    return cell, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, time.process_time() - began


# -- the cells ----------------------------------------------------------------------------------------------------------------

_BOTH = ("1:99", "1:1")


def healthy_rates():
    table = "rates, healthy"
    for rate in (0.001, 0.01):
        for rps in (10, 100, 1000):
            for split in _BOTH:
                yield Cell(f"{rate:.1%} at {rps} rps, {split}", table, {"rate": rate, "rps": rps, "split": split})
    for rps in (1, 10, 100):
        for split in _BOTH:
            yield Cell(f"conversion 5 % at {rps} rps, {split}", table, {"rate": 0.05, "rps": rps, "split": split}, up=False)
    for kind, words, bound in (("shock", "shocks both share", "healthy"), ("cluster", "bursts of five", "bursts")):
        for rps in (100, 1000):
            for split in _BOTH:
                yield Cell(
                    f"1 % at {rps} rps, {words}, {split}", table, {"rate": 0.01, "rps": rps, "split": split, "kind": kind}, bound=bound
                )
    for rate in (0.001, 0.01):
        for rps in (100, 1000):
            for split in _BOTH:
                traffic = {"rate": rate, "rps": rps, "split": split, "factor": 1.1}
                yield Cell(f"{rate:.1%} ×1.1 at {rps} rps, on the margin of 10 %, {split}", table, traffic, 0.1)
    for split in _BOTH:
        traffic = {"rate": 0.01, "rps": 1000, "split": split, "kind": "idio"}
        yield Cell(f"1 % at 1000 rps, each arm drifts by 30 %, 25 % tolerated, {split}", table, traffic, 0.25, bound="none")


def healthy_latency():
    table = "latency, healthy"
    for shape in ("lognormal", "heavy", "bimodal"):
        for rps in (10, 100, 1000):
            for split in _BOTH:
                yield Cell(f"{shape} at {rps} rps, {split}", table, {"shape": shape, "rps": rps, "split": split})
    for rps in (100, 1000):
        for split in _BOTH:
            traffic = {"shape": "lognormal", "rps": rps, "split": split, "kind": "common"}
            yield Cell(f"lognormal at {rps} rps, both drift by 10 %, {split}", table, traffic)
    for split in _BOTH:
        traffic = {"shape": "lognormal", "rps": 1000, "split": split, "kind": "idio"}
        yield Cell(f"lognormal at 1000 rps, each arm drifts by 5 %, 10 % tolerated, {split}", table, traffic, 0.1, bound="none")


def healthy_events():
    for rate, factor in ((0.001, 1.0), (0.01, 1.0), (0.01, 1.1)):
        for split in _BOTH:
            words = ", on the margin of 10 %" if factor > 1 else ""
            traffic = {"rate": rate, "events": 360, "split": split, "factor": factor}
            yield Cell(
                f"{rate:.1%}, a decision after each of 360 events{words}, {split}",
                "single, healthy, after every event",
                traffic,
                factor - 1,
            )
    for part, split in ((0.01, "1:99"), (0.5, "1:1")):
        yield Cell(
            f"p99, a decision after each of 720 requests, {split}", "request, healthy, after every request", {"part": part, "requests": 720}
        )
    traffic = {"rate": 0.01, "rps": 1000, "split": "1:1"}
    yield Cell("five error rates of 1 % at 1000 rps, 1:1", "together, healthy, five metrics", traffic)


# (rate, factor, rps, split, minutes a batch, onset, published av, hybrid, bet)
_REGRESSED = (
    (0.001, 2, 10, "1:99", 1, 0, 2, 4, 2),
    (0.001, 2, 10, "1:1", 1, 0, 0, 0, 0),
    (0.001, 2, 100, "1:99", 1, 0, 13, 36, 13),
    (0.001, 2, 100, "1:1", 1, 0, 5, 12, 4),
    (0.001, 2, 1000, "1:99", 1, 0, 93, 99, 91),
    (0.001, 2, 1000, "1:1", 1, 0, 58, 89, 60),
    (0.001, 10, 10, "1:99", 1, 0, 56, 72, 55),
    (0.001, 10, 10, "1:1", 1, 0, 4, 17, 2),
    (0.001, 10, 100, "1:99", 1, 0, 100, 100, 100),
    (0.001, 10, 100, "1:1", 1, 0, 100, 100, 100),
    (0.001, 10, 1000, "1:99", 1, 0, 100, 100, 100),
    (0.001, 10, 1000, "1:1", 1, 0, 100, 100, 100),
    (0.01, 2, 10, "1:99", 1, 0, 13, 32, 13),
    (0.01, 2, 10, "1:1", 1, 0, 5, 13, 4),
    (0.01, 2, 100, "1:99", 1, 0, 94, 100, 94),
    (0.01, 2, 100, "1:1", 1, 0, 57, 88, 60),
    (0.01, 2, 1000, "1:99", 1, 0, 100, 100, 100),
    (0.01, 2, 1000, "1:1", 1, 0, 100, 100, 100),
    (0.001, 2, 10, "1:99", 24, 0, 27, 60, 28),
    (0.001, 2, 10, "1:1", 24, 0, 14, 29, 14),
    (0.001, 10, 10, "1:99", 24, 0, 100, 100, 100),
    (0.001, 10, 10, "1:1", 24, 0, 100, 100, 100),
    (0.001, 5, 1000, "1:99", 1, 0, 100, 100, 100),
    (0.001, 5, 1000, "1:99", 1, 30, 100, 100, 100),
    (0.001, 5, 1000, "1:1", 1, 0, 100, 100, 100),
    (0.001, 5, 1000, "1:1", 1, 30, 100, 100, 95),
)

# conversion 5 % -> 4.75 %: (rps, split, minutes a batch, published av, hybrid)
_CONVERSION = (
    (10, "1:99", 1, 2, 4),
    (10, "10:90", 1, 2, 10),
    (10, "50:50", 1, 3, 18),
    (100, "1:99", 1, 2, 10),
    (100, "10:90", 1, 10, 46),
    (100, "50:50", 1, 41, 84),
    (10, "10:90", 4, 4, 22),
    (10, "50:50", 4, 12, 50),
    (100, "10:90", 4, 63, 94),
    (100, "50:50", 4, 99, 100),
)

# (shape, slower, rps, split, published tail mixture, hybrid)
_SLOWER = (
    ("lognormal", 1.2, 10, "1:99", 19, 22),
    ("lognormal", 1.2, 10, "1:1", 4, 3),
    ("lognormal", 1.2, 100, "1:99", 100, 91),
    ("lognormal", 1.2, 100, "1:1", 92, 62),
    ("lognormal", 1.2, 1000, "1:99", 100, 100),
    ("lognormal", 1.2, 1000, "1:1", 100, 100),
    ("lognormal", 1.5, 10, "1:99", 100, 96),
    ("lognormal", 1.5, 10, "1:1", 49, 31),
    ("lognormal", 1.5, 100, "1:99", 100, 100),
    ("lognormal", 1.5, 100, "1:1", 100, 100),
    ("heavy", 1.2, 10, "1:99", 3, 5),
    ("heavy", 1.2, 10, "1:1", 0, 2),
    ("heavy", 1.2, 100, "1:99", 27, 18),
    ("heavy", 1.2, 100, "1:1", 12, 11),
    ("heavy", 1.2, 1000, "1:99", 100, 91),
    ("heavy", 1.2, 1000, "1:1", 99, 66),
    ("heavy", 1.5, 10, "1:99", 31, 19),
    ("heavy", 1.5, 10, "1:1", 6, 6),
    ("heavy", 1.5, 100, "1:99", 100, 91),
    ("heavy", 1.5, 100, "1:1", 99, 64),
    ("bimodal", 1.2, 100, "1:99", 8, 45),
    ("bimodal", 1.2, 100, "1:1", 2, 21),
    ("bimodal", 1.2, 1000, "1:99", 96, 100),
    ("bimodal", 1.2, 1000, "1:1", 68, 98),
    ("bimodal", 1.5, 10, "1:99", 4, 25),
    ("bimodal", 1.5, 10, "1:1", 0, 3),
    ("bimodal", 1.5, 100, "1:99", 75, 98),
    ("bimodal", 1.5, 100, "1:1", 22, 76),
    ("bimodal", 1.5, 1000, "1:99", 100, 100),
    ("bimodal", 1.5, 1000, "1:1", 100, 100),
)


def regressed():
    for rate, factor, rps, split, minutes, onset, e, h, b in _REGRESSED:
        words = (", 24 hours" if minutes > 1 else "") + (f", from minute {onset} on" if onset else "")
        traffic = {"rate": rate, "rps": rps, "split": split, "factor": factor, "minutes": minutes, "onset": onset}
        yield Cell(
            f"{rate:.1%} ×{factor} at {rps} rps{words}, {split}",
            "rates, regressed",
            traffic,
            0.1,
            bound="power",
            published={"events": e, "planned": h, "judge": b},
        )
    for rps, split, minutes, e, h in _CONVERSION:
        traffic = {"rate": 0.05, "rps": rps, "split": split, "factor": 0.95, "minutes": minutes}
        words = ", 4 hours" if minutes > 1 else ""
        yield Cell(
            f"conversion 5 % ×0.95 at {rps} rps{words}, {split}",
            "rates, regressed",
            traffic,
            0.01,
            up=False,
            bound="power",
            published={"events": e, "planned": h},
        )
    for shape, slower, rps, split, t, h in _SLOWER:
        traffic = {"shape": shape, "rps": rps, "split": split, "slower": slower}
        yield Cell(
            f"{shape} ×{slower} at {rps} rps, {split}",
            "latency, regressed",
            traffic,
            0.05,
            bound="power",
            published={"judge": t, "planned": h},
        )


# -- tables -------------------------------------------------------------------------------------------------------------------

HEAD = ("textbook", "kayenta", "z", "OBF", "av", "bet", "hybrid", "judge", "events", "planned")
OURS = ("judge", "events", "planned")


def told(alarms, power):
    if alarms is None:
        return ""
    share = f"{100 * (alarms > 0).mean():.1f}"
    if not power:
        return share
    seen = np.where(alarms > 0, alarms, 10**6)
    median = int(np.sort(seen)[(len(seen) - 1) // 2])
    return f"{share} ({median if median < 10**6 else '-'})"


def held(cell, found, reps):
    """What the cell is held against, and how it came out: the columns that miss, with what they miss."""
    seen = {name: 100 * (found[name] > 0).mean() for name in OURS if name in found}
    if cell.bound == "none":
        return "no bound", "no method holds here"
    if cell.bound == "power":
        bars = {name: share - 3 for name, share in cell.published.items()}
        misses = {name: bar for name, bar in bars.items() if seen[name] < bar}
        bound = ", ".join(f"{name} {share}" for name, share in cell.published.items())
        return bound, ", ".join(f"{name} {seen[name] - bar:+.1f}" for name, bar in misses.items()) or "ok"
    top = 100 * (ALPHA if cell.bound == "bursts" else ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / reps))
    misses = {name: share for name, share in seen.items() if share > top and (cell.bound != "bursts" or name == "judge")}
    return f"<= {top:.1f}", ", ".join(f"{name} {share - top:+.1f}" for name, share in misses.items()) or "ok"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reps", type=int, default=200)
    options.add_argument("--seed", type=int, default=20240607)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--only", default="", help="cells whose table and name contain this")
    asked = options.parse_args()
    cells = [cell for part in (healthy_rates, healthy_latency, healthy_events, regressed) for cell in part()]
    cells = [cell for cell in cells if asked.only in f"{cell.table}: {cell.name}"]
    start, missed, spent = time.perf_counter(), 0, 0.0
    print(f"{asked.reps} replicates (Kayenta {_KAYENTA}), seed {asked.seed}, alpha {ALPHA}; {len(cells)} cells; healthy")
    print("rows: percent rolled back; regressed rows: percent found (median look).")
    table = ""
    with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
        for cell, found, seconds in pool.imap(run, [(cell, asked.reps, asked.seed) for cell in cells]):
            if cell.table != table:
                table = cell.table
                print(f"\n### {table}\n\n| | {' | '.join(HEAD)} | held against | |\n|---|{'---|' * (len(HEAD) + 2)}")
            bound, outcome = held(cell, found, asked.reps)
            missed += outcome not in {"ok", "no method holds here"}
            spent += seconds
            row = " | ".join(told(found.get(name), cell.bound == "power") for name in HEAD)
            print(f"| {cell.name} | {row} | {bound} | {outcome} |", flush=True)
    print(
        f"\n{len(cells) - missed} of {len(cells)} cells as they should be; {spent:.0f} s of processor, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
