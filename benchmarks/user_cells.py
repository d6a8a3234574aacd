"""The cells of the statistics page: who asks, how much fails, and what a rule should do about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.user_traffic import Crowd, Traffic

SPLITS = ((0.01, "1:99"), (0.1, "10:90"), (0.5, "50:50"))
MANY = Crowd(5000, bad=0.01)
SPEED = Crowd(5000, speed=(0.4, 0.4))


@dataclass(frozen=True)
class Cell:
    """
    One row. `kind` says how its events come: a rule is valid for a kind if it keeps alpha in each of the kind's healthy rows.

    `null`: the ratio of rates that is tolerated; `up` False: fewer events are the regression.
    """

    table: str
    kind: str
    name: str
    traffic: Traffic
    null: float = 1.0
    up: bool = True

    def __str__(self) -> str:
        return f"{self.table}: {self.name}"


def cells():
    yield from (*healthy(), *falls(), *invalid(), *regressed(), *proofs())


def healthy():
    for share, split in SPLITS:
        for rate in (0.001, 0.01, 0.05):
            for rps in (5, 100):
                yield Cell("healthy", "independent", f"independent {rate:.1%} at {rps} rps, {split}", Traffic(rate, rps, share))
        yield Cell(
            "healthy",
            "independent",
            f"independent 1 % ×1.25 on the margin at 100 rps, {split}",
            Traffic(0.01, 100, share, factor=1.25),
            null=1.25,
        )
        for burst in (5, 10):
            yield Cell(
                "healthy", "bursts", f"bursts of {burst}, 0.5 % at 100 rps, {split}", Traffic(0.005, 100, share, crowd=Crowd(burst=burst))
            )
        yield Cell("healthy", "users", f"1 % of 5,000 users fail half, {split}", Traffic(share=share, crowd=MANY))
        yield Cell(
            "healthy",
            "users",
            f"1 % of 5,000 equally active users fail half, {split}",
            Traffic(share=share, crowd=replace(MANY, activity=0.0)),
        )
        yield Cell(
            "healthy",
            "users",
            f"1 % of 5,000 users fail half, ×1.25 on the margin, {split}",
            Traffic(share=share, factor=1.25, crowd=MANY),
            null=1.25,
        )
        stuck = Traffic(0.005, 20, share, crowd=Crowd(stuck=True))
        yield Cell("healthy", "users", f"one user fails for ten minutes, {split}", stuck)
        yield Cell("healthy", "users", f"the same, always in the candidate, {split}", replace(stuck, crowd=Crowd(stuck="candidate")))
        yield Cell(
            "healthy",
            "users",
            f"a crawler, a fifth of the traffic, fails 5×, {split}",
            Traffic(0.005, 20, share, crowd=Crowd(2000, crawler=0.2)),
        )
        yield Cell("healthy", "p99", f"p99, users differ, {split}", Traffic(0.01, 20, share, crowd=SPEED))
        yield Cell("healthy", "p99", f"p99, users differ more, {split}", Traffic(0.01, 20, share, crowd=Crowd(5000, speed=(0.3, 0.5))))
        yield Cell(
            "healthy",
            "p99",
            f"p99, users differ, ×1.25 on the margin, {split}",
            Traffic(0.01, 20, share, factor=1.25, crowd=SPEED),
            null=1.25,
        )
        yield Cell("healthy", "independent", f"a tide both share, {split}", Traffic(0.01, 20, share, tide=True))
        yield Cell("healthy", "independent", f"traffic 0.1× and then 1.9×, {split}", Traffic(0.01, 20, share, ramp=True))
    yield Cell("healthy", "few", "50 candidate users of own rates, 1:99", Traffic(0.005, 20, 0.01, crowd=Crowd(5000, own=1.0)))
    yield Cell("healthy", "few", "50 + 50 users of own rates, 50:50", Traffic(0.005, 5, 0.5, crowd=Crowd(100, own=1.0)))
    for users in (40, 80, 200):
        yield Cell(
            "healthy", "few", f"{users // 10} candidate users of own rates, 10:90", Traffic(0.01, 5, 0.1, crowd=Crowd(users, own=1.0))
        )
    yield Cell("healthy", "few", "20 candidate users, a tenth fail half, 10:90", Traffic(0.05, 5, 0.1, crowd=Crowd(200, bad=0.1)))
    yield Cell("healthy", "independent", "hardly an error: 0.01 %, 50:50", Traffic(0.0001, 5, 0.5))
    yield Cell("healthy", "bursts", "hardly an error: 0.01 % in bursts of five, 10:90", Traffic(0.0001, 20, 0.1, crowd=Crowd(burst=5)))


def falls():
    """Fewer conversions than the control are the regression; these are healthy."""
    for share, split in SPLITS:
        yield Cell("falls", "users", f"conversions, 1 % of 5,000 users convert half, {split}", Traffic(share=share, crowd=MANY), up=False)
        yield Cell(
            "falls",
            "users",
            f"conversions, a crawler is a fifth, {split}",
            Traffic(0.05, 20, share, crowd=Crowd(2000, crawler=0.2)),
            up=False,
        )
        yield Cell("falls", "independent", f"conversions, independent 5 %, {split}", Traffic(0.05, 20, share), up=False)


def invalid():
    """What no statistics of users can promise, and the page names."""
    for spread, split in ((s, p) for s in (0.3, 1.0) for p in SPLITS):
        share, words = split
        yield Cell("invalid", "shocks", f"shocks to an arm as a whole, sd {spread}, {words}", Traffic(0.01, 20, share, shock=spread))


def regressed():
    yield Cell("regressed", "independent", "0.5 % ×2 at 100 rps, 1:99", Traffic(0.005, 100, 0.01, factor=2))
    yield Cell("regressed", "independent", "0.5 % ×4 at 10 rps, 1:99", Traffic(0.005, 10, 0.01, factor=4))
    yield Cell("regressed", "independent", "0.5 % ×2 at 5 rps, 50:50", Traffic(0.005, 5, 0.5, factor=2))
    yield Cell(
        "regressed", "bursts", "0.5 % ×2 in bursts of five at 100 rps, 10:90", Traffic(0.005, 100, 0.1, factor=2, crowd=Crowd(burst=5))
    )
    yield Cell("regressed", "independent", "0.5 % ×10 at 100 rps, 1:99", Traffic(0.005, 100, 0.01, factor=10))
    for share, split in SPLITS[1:]:
        yield Cell("regressed", "users", f"1 % of 5,000 users fail half, ×2, {split}", Traffic(share=share, factor=2, crowd=MANY))
        yield Cell("regressed", "users", f"a further 1 % of users fails half, {split}", Traffic(share=share, more=0.01, crowd=MANY))
        yield Cell("regressed", "users", f"a further 5 % of users fails half, {split}", Traffic(share=share, more=0.05, crowd=MANY))
        yield Cell("regressed", "p99", f"p99 exceeded ×2, users differ, {split}", Traffic(0.01, 20, share, factor=2, crowd=SPEED))
        yield Cell(
            "regressed",
            "p99",
            f"p99, a quarter of requests ×1.5 slower, {split}",
            Traffic(0.01, 20, share, slower=(0.25, 1.5), crowd=SPEED),
        )
    yield Cell("regressed", "independent", "0.5 % ×5 from minute 30 on at 100 rps, 1:99", Traffic(0.005, 100, 0.01, factor=5, onset=30))
    yield Cell("regressed", "independent", "0.5 % ×3 from minute 30 on at 5 rps, 50:50", Traffic(0.005, 5, 0.5, factor=3, onset=30))
    for users in (40, 80, 200, 500):
        yield Cell(
            "regressed", "few", f"always fails, {users // 10} users in it, 10:90", Traffic(0.01, 5, 0.1, always=True, crowd=Crowd(users))
        )


def proofs():
    """Twice as bad, which `proven` must rule out; and as good as the control, which it should prove."""
    for burst in (1, 2, 5):
        for share, split in SPLITS:
            for words, factor in (("twice as bad", 2.0), ("healthy", 1.0)):
                traffic = Traffic(0.005, 100, share, factor=factor, crowd=Crowd(burst=burst))
                yield Cell("proofs", words, f"{words}, bursts of {burst}, {split}", traffic, null=2.0)


#: What the simulation behind the design found for this rule, in percent.
PUBLISHED = dict(
    zip(
        (cell.name for cell in regressed()),
        (94.9, 80.1, 97.7, 99.8, 100, 42.1, 8.9, 85.1, 47.9, 62.3, 70.5, 25.4, 93.3, 80.3, 89.5, 99.9, 97.6, 48.3, 86.9, 98.9, 100),
        strict=True,
    )
)
