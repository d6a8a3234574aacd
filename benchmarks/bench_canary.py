"""What counting and judging cost: a record against a bare dict increment, a five-metric decision, bytes per latency metric."""

from __future__ import annotations

import json
import random
import statistics
import time

from benchmarks.kept import keep
from benchmarks.rival_rules import package
from progflags._clock import SYSTEM
from progflags.canary import Evidence, Gate, Recorder, Window, judge
from progflags.canary.counting._sketch import Tally
from progflags.canary.counting._tallies import Count
from progflags.events import Bus, Called, Exposure, Served

GATES = [
    Gate("error_rate", max_increase=0.1),
    Gate("error_rate", max=0.02),
    Gate("p99_latency", max_increase=0.1, max=0.5),
    Gate("conversion", max_decrease=0.02),
    Gate("mean_latency", max_increase=0.1),
]


def best(work, rounds: int = 7) -> float:
    """Processor seconds of the quickest of some rounds: what the code costs, whoever else is on the machine."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def recording(n: int = 100_000) -> None:
    bus = Bus()
    recorder = Recorder(bus, SYSTEM)
    recorder.count("f", 1, GATES)
    exposure = Exposure("f", 1, "on", "candidate")
    seconds = [random.Random(1).lognormvariate(-2.5, 0.6) for _ in range(n)]
    counts = {"requests": 0}

    def floor():
        for _ in seconds:
            counts["requests"] += 1

    def calls():
        for value in seconds:
            bus.tell(Called(exposure, value, False, b"u"))

    def direct():
        on_called = recorder._on_called
        event = Called(exposure, 0.1, False, b"u")
        for _ in seconds:
            on_called(event)

    def requests():
        for value in seconds:
            bus.tell(Served((exposure,), value, False, b"u"))

    def sketch():
        Tally().extend(seconds)

    bare = best(floor) / n
    print(f"{'a bare dict increment (the floor)':<52}{1e9 * bare:>9.0f} ns")
    for name, work in (
        ("a latency into the sketch alone", sketch),
        ("one observation recorded: count, error, latency", direct),
        ("a @progressive call told and recorded", calls),
        ("a whole request told and recorded", requests),
    ):
        cost = best(work) / n
        print(f"{name:<52}{1e9 * cost:>9.0f} ns   {cost / bare:>5.1f} × the floor")
        keep("recording", name, cost / bare)


def meeting(n: int = 200_000) -> None:
    count, units = Count("f", 1, {}), [b"%d" % unit for unit in range(n)]
    for unit in units[: n // 2]:  # twice as many as are remembered
        count.meet("control", unit)
    start = time.process_time()
    for unit in units[n // 2 :]:
        count.meet("control", unit)
    print(f"{'a new unit met where an old one is forgotten':<52}{2e9 * (time.process_time() - start) / n:>9.0f} ns")


def judging() -> None:
    """Looks at 1,000 requests a side of 20,000 users, counted by groups of them; one in twenty buys."""
    rng, recorder = random.Random(2), Recorder(Bus(), SYSTEM)
    recorder.count("f", 1, GATES)
    evidence, before, adds, looks = Evidence.start(GATES, looks=1), Window("f", 1), [], []
    raw = {arm: ([], [], []) for arm in ("control", "candidate")}  # seconds, errors, purchases
    for number in range(100):
        for _ in range(1000):
            for arm in ("control", "candidate"):
                bought = ("conversion",) if rng.random() < 0.05 else None
                seconds, unit = rng.lognormvariate(-2.5, 0.6), b"%d" % rng.randrange(20_000)
                failed = rng.random() < 0.005
                recorder.record("f", arm=arm, seconds=seconds, error=failed, unit=unit, events=bought)
                for values, value in zip(raw[arm], (seconds, failed, bought is not None), strict=True):
                    values.append(value)
        window = recorder.window("f")
        start = time.process_time()
        evidence = evidence.add(window.minus(before))
        middle = time.process_time()
        judge(evidence, baked=3 * number, bake=300)
        looks.append(time.process_time() - middle)
        adds.append(middle - start)
        recorder.mark("f", 1, evidence.thresholds)
        before = window
    brief = best(lambda: judge(evidence, baked=400, bake=300).to_dict(brief=True))
    told = best(lambda: judge(evidence, baked=400, bake=300).to_dict())
    once = statistics.median(looks)
    for name, seconds in {**by_hand(raw), **with_gbstats(raw)}.items():
        print(f"{name:<52}{1e6 * seconds:>9.0f} µs   {seconds / once:.1f} × a decision of ours")
        keep("verdict", name, seconds / once, "peer")
    keep("verdict", "a batch added to the evidence", statistics.median(adds) / once)
    keep("verdict", "the decision told whole, with intervals", told / once)
    print(f"{'a batch of five metrics added to the evidence':<52}{1e6 * statistics.median(adds):>9.0f} µs")
    print(f"{'a decision on five metrics':<52}{1e6 * statistics.median(looks):>9.0f} µs")
    print(f"{'both: a look at five metrics':<52}{1e6 * (statistics.median(adds) + statistics.median(looks)):>9.0f} µs")
    print(f"{'a decision told in brief (with the digest)':<52}{1e6 * brief:>9.0f} µs   what a look that holds stores")
    print(f"{'a decision told whole (intervals, detectable)':<52}{1e6 * told:>9.0f} µs   what a status question costs")
    print(f"{'evidence as JSON':<52}{len(json.dumps(evidence.to_json())) / 1024:>9.1f} KiB")
    print(f"{'a window as JSON':<52}{len(json.dumps(window.to_json())) / 1024:>9.1f} KiB")


def by_hand(raw) -> dict[str, float]:
    """What one would write oneself: each metric once, from raw values, which have to be kept; not valid when looked at often."""
    import numpy as np
    from scipy import stats

    (seconds_a, errors_a, sales_a), (seconds_b, errors_b, sales_b) = [
        [np.array(values, float) for values in raw[arm]] for arm in ("control", "candidate")
    ]

    def look() -> None:
        stats.fisher_exact([[errors_a.sum(), len(errors_a) - errors_a.sum()], [errors_b.sum(), len(errors_b) - errors_b.sum()]])
        stats.binomtest(int(errors_b.sum()), len(errors_b), 0.02)
        stats.mannwhitneyu(seconds_a, seconds_b)
        stats.ttest_ind(sales_a, sales_b, equal_var=False)
        stats.ttest_ind(seconds_a, seconds_b, equal_var=False)

    return {f"SciPy over {len(seconds_a):,} raw values an arm": best(look)}


def with_gbstats(raw) -> dict[str, float]:
    """GrowthBook's sequential test, which may be looked at often as well, from sums: of all but the quantile."""
    if (theirs := package()) is None:
        print("gbstats: not measured; install the bench group")
        return {}
    tests, of = theirs
    counts = [[of.ProportionStatistic(n=len(values[at]), sum=sum(values[at])) for values in raw.values()] for at in (1, 1, 2)]
    means = [of.SampleMeanStatistic(n=len(v), sum=sum(v), sum_squares=sum(x * x for x in v)) for v, *_ in raw.values()]

    def look() -> None:
        for a, b in (*counts, means):
            tests.SequentialTwoSidedTTest(a, b, tests.SequentialConfig(alpha=0.1)).compute_result()

    return {"gbstats, sequential, four of the five": best(look)}


def memory() -> None:
    rng, tally = random.Random(3), Tally((0.5,))
    for _ in range(200_000):
        tally.add(rng.lognormvariate(-2.5, 1.0))
    for value in (1e-6, 3600.0):
        tally.add(value)
    size = 2 * tally.counts.itemsize * len(tally.counts)
    print(f"{'one latency metric, both arms, 1 µs to an hour':<52}{size / 1024:>9.1f} KiB (at most 17, whatever the traffic)")


def main() -> None:
    recording()
    meeting()
    judging()
    memory()


if __name__ == "__main__":
    main()
