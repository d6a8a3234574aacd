"""
False rollbacks and power where requests belong to users, beside the rules people use. Part `users` of `python -m benchmarks.simulate`.

An hour, a look every minute, planned looks at its twelfths, alpha 5 %. `judge` is progflags as it ships; `open` the same without a planned
end; `requests` the same with each request taken for a witness of its own; the others stand in rival_rules. So that a thousand
replicates of a cell take seconds, the judge is an array at a time (user_judge). In the first replicates of each cell a connected client
with a rollout of its own is given the same requests, and must come to the same minute; gbstats is held to its package likewise.
"""

from __future__ import annotations

import math
from zlib import crc32

import numpy as np

from benchmarks.rival_rules import KAYENTA, RIVALS, disagreements, rivals
from benchmarks.user_cells import PUBLISHED, cells
from benchmarks.user_judge import ALPHA, SHIPPED, alarm, found, seen
from benchmarks.user_live import minute_of
from benchmarks.user_traffic import draw

__all__ = ["CHUNK", "LIVE", "REPS", "cells", "run", "told"]

REPS, CHUNK = 1000, 100
LIVE = 6  # replicates of each cell that are run through the public interface as well

OURS = ("judge", "open", "requests")


def run(cell, seed, chunk, reps):
    """The minutes of alarm by rule, of so many replicates of a cell."""
    counts = draw(np.random.default_rng([seed, crc32(str(cell).encode()), chunk]), cell.traffic, reps)
    if cell.table == "proofs":
        how = {"null": cell.null, "proof": True}
        return {"judge": found(*counts, **how).tolist(), "requests": found(*counts, **how, effect="one").tolist()}
    how = {"null": cell.null, "up": cell.up}
    grouped = seen(*counts, **how)
    minutes = {
        "judge": alarm(grouped, SHIPPED),
        "open": alarm(grouped, SHIPPED, steps=0),
        "requests": found(*counts, **how, alpha=SHIPPED, effect="one"),
        **rivals([part.sum(axis=2) for part in counts], cell.null, up=cell.up, kayenta=0 if chunk else min(reps, KAYENTA)),
    }
    return {rule: each.tolist() for rule, each in minutes.items()} | ({} if chunk else _live(cell, counts, how, min(reps, LIVE)))


def _live(cell, counts, how, reps):
    theirs = [disagreements(*(part[row].sum(axis=1).cumsum() for part in counts), cell.null, cell.up) for row in range(reps)]
    return {
        "live": [minute_of(counts, row, **how, alpha=ALPHA) for row in range(reps)],
        "live open": [minute_of(counts, row, **how, alpha=ALPHA, look=False) for row in range(reps // 3)],
        "gbstats package": [one for one in theirs if one is not None],
    }


# -- the page -------------------------------------------------------------------------------------------------------------------


def share(minutes):
    """Percent alarmed."""
    return 100 * sum(1 for minute in minutes if minute) / len(minutes)


def ceiling(n):
    """What a healthy cell of so many replicates may show: alpha and three standard errors."""
    return 100 * (ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / n))


def valid(rows):
    """By kind of traffic: the rules that keep alpha in each of its healthy cells."""
    kept: dict[str, set[str]] = {}
    for cell, minutes in rows:
        if cell.table in {"healthy", "falls"}:
            good = {rule for rule in (*OURS, *RIVALS) if share(minutes[rule]) <= ceiling(len(minutes[rule]))}
            kept[cell.kind] = kept.get(cell.kind, good) & good
    return kept


def told(rows):
    """The tables. `rows`: (cell, minutes by rule)."""
    parts, kept = [], valid(rows)
    for table, words in _TABLES.items():
        some = [(cell, minutes) for cell, minutes in rows if cell.table == table]
        if some:
            parts.append(f"### {words}\n\n" + "\n".join(_TOLD[table](some, kept)))
    return "\n\n".join((*parts, _verified(rows), _missed(rows, kept)))


_TABLES = {
    "healthy": "Healthy candidates rolled back, percent",
    "falls": "Healthy, where falls are the regression",
    "invalid": "Invalid",
    "regressed": "Bad candidates found, percent (median minute)",
    "proofs": "Proven to be less than twice as bad, percent",
}


def _head(*columns):
    return [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]


def _healthy(rows, _):
    yield from _head(*OURS, *RIVALS)
    for cell, minutes in rows:
        columns = (_marked(minutes[rule]) for rule in (*OURS, *RIVALS))
        yield f"| {cell.name} | {' | '.join(columns)} |"


def _marked(minutes):
    found = share(minutes)
    return f"{found:.1f}" if found <= ceiling(len(minutes)) else f"**{found:.1f}**"


def _regressed(rows, kept):
    yield from _head(*OURS, *RIVALS, "best valid", "published")
    for cell, minutes in rows:
        columns = (_found(minutes[rule], rule in kept.get(cell.kind, ())) for rule in (*OURS, *RIVALS))
        rule, most = _best(cell, minutes, kept)
        yield f"| {cell.name} | {' | '.join(columns)} | {rule} {most:.1f} | {PUBLISHED[cell.name]:g} |"


def _found(minutes, allowed):
    median = int(np.sort([minute or 10**6 for minute in minutes])[(len(minutes) - 1) // 2])
    text = f"{share(minutes):.1f}" + (f" ({median})" if median < 10**6 else "")
    return text if allowed else f"*{text}*"


def _best(cell, minutes, kept):
    rules = [rule for rule in (*OURS, *RIVALS) if rule in kept.get(cell.kind, ("judge",))]
    rule = max(rules, key=lambda rule: (share(minutes[rule]), rule == "judge"), default="judge")
    return rule, share(minutes[rule])


def _proofs(rows, _):
    yield from _head("judge", "requests")
    for cell, minutes in rows:
        yield f"| {cell.name} | {share(minutes['judge']):.1f} | {share(minutes['requests']):.1f} |"


_TOLD = {"healthy": _healthy, "falls": _healthy, "invalid": _healthy, "regressed": _regressed, "proofs": _proofs}


def _verified(rows):
    """How the arrays compare with what ships, and with what others ship."""
    lives = [(live, judge) for _, minutes in rows for live, judge in zip(minutes.get("live", ()), minutes["judge"], strict=False)]
    opens = [
        (live, judge) for _, minutes in rows for live, judge in zip(minutes.get("live open", ()), minutes.get("open", ()), strict=False)
    ]
    theirs = [pair for _, minutes in rows for pair in minutes.get("gbstats package", ())]
    other = sum(a != b for a, b in (*lives, *opens))
    text = f"Through the public interface: {len(lives) + len(opens)} replicates, {other} with another minute of alarm."
    if not theirs:
        return text + " gbstats is not installed: its formulas as printed in its source."
    return text + f" gbstats' package: {sum(n for n, _ in theirs)} decisions, {sum(wrong for _, wrong in theirs)} made otherwise."


def _missed(rows, kept):
    """The cells that are not as they should be."""
    said = []
    for cell, minutes in rows:
        now = share(minutes["judge"])
        if cell.table in {"healthy", "falls"} and now > ceiling(len(minutes["judge"])):
            said.append(f"{cell.name}: {now:.1f} % rolled back")
        if cell.name.startswith("twice as bad") and now > ceiling(len(minutes["judge"])):
            said.append(f"{cell.name}: {now:.1f} % proven")
        if cell.table == "regressed" and now < (best := max(_best(cell, minutes, kept)[1], PUBLISHED[cell.name])) - 5:
            said.append(f"{cell.name}: {now:.1f} % found, {best:.1f} % by the best valid rule")
    kinds = "; ".join(f"{kind}: {', '.join(sorted(rules))}" for kind, rules in kept.items())
    return f"Valid by kind of traffic: {kinds}\n\nNot as they should be: {len(said)}\n" + "".join(f"\n- {line}" for line in said)
