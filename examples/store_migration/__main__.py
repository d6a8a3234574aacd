"""
Orders move from a table to documents, and nobody notices: both written, both read and compared, then cut over in stages.

The stage of the migration is a flag with six variants in a file. People take most steps by editing the file, as they would by a pull
request; the dangerous one, from the old store answering to the new one answering, is a rollout. On the way the comparison finds a
bug of the copying program, and writes that the new store refused are written again. Every read and write is real; only the hours
of the rollout pass by a clock that is turned by hand.

Run it: `python examples/store_migration`. It takes about ten seconds and ends with 0 when the story went as told.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from shop import FLAG, Shop

import progflags as pf
from progflags.darklaunch import Migration
from progflags.testing import ManualClock

HERE = Path(__file__).parent


def edit(flags: pf.Flags, file: Path, source: str, target: str) -> None:
    """The pull request: one word in the file; `check` refuses a step that would lose writes."""
    Migration.check(source, target)
    file.write_text((HERE / "flags.toml").read_text().replace('default = "off"', f'default = "{target}"'))
    flags.refresh()
    print(f"{target}:")


def compare(shop: Shop) -> pf.DarkLaunchVerdict:
    """Traffic until it is known whether fewer than two reads in a hundred differ."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        shop.traffic(20)
        shop.moved.dark_launch.drain()
        verdict = shop.moved.dark_launch.verdict(max_mismatch=0.02)
        if verdict.state != "UNDECIDED":
            break
    print(f"  {verdict}")
    return verdict


def climb(shop: Shop, clock: ManualClock) -> list[float]:
    """The cut-over, left to itself; returns the shares it went through."""
    rollouts = shop.flags.rollouts
    status = rollouts.start(FLAG, by="ann", reason="the comparison is safe")
    print(f"live, from {status.percent:g} % on:")
    percents = [status.percent]
    while status.state not in ("completed", "rolled_back", "held"):
        shop.traffic(200)
        clock.advance("5m")
        for move in rollouts.tick():
            print(f"  {clock.monotonic() / 3600:3.1f}h  {move.source} → {move.target} at {move.percent:g} %: {move.reason}")
        status = rollouts.status(FLAG)
        if status.percent != percents[-1]:
            percents.append(status.percent)
    return percents


def main() -> int:
    clock = ManualClock(wall=1_800_000_000.0)
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as folder:
        file = Path(folder) / "flags.toml"
        file.write_text((HERE / "flags.toml").read_text())
        with pf.connect(file, clock=clock) as flags:
            shop = Shop(flags)
            for _ in range(300):
                shop.order()

            edit(flags, file, "off", "dualwrite")
            shop.documents.busy = {310, 317}
            shop.traffic(300)
            shop.documents.busy = set()
            shop.repair()
            print(f"  every write goes to both; {shop.repaired} that the new store refused were written again")

            shop.copy_old_orders(300, forgets_discounts=True)
            edit(flags, file, "dualwrite", "shadow")
            found = compare(shop)
            mismatches = shop.moved.dark_launch.stats().mismatches
            print(f"  it differs at {', '.join(mismatches)}: the copying program forgets discounts; it is mended and run again")
            shop.copy_old_orders(300, forgets_discounts=False)
            shop.deploy()
            mended = compare(shop)

            Migration.check("shadow", "live")
            file.write_text((HERE / "cut-over.toml").read_text())
            flags.refresh()
            percents = climb(shop, clock)

            edit(flags, file, "live", "rampdown")
            stages = Counter(str(shop.moved.stage(f"customer-{number}")) for number in range(997))
            shop.traffic(100)
            edit(flags, file, "rampdown", "complete")
            shop.traffic(100)
    outcome = {
        "states": [str(found.state), str(mended.state)],
        "mismatches": sorted(mismatches),
        "repaired": shop.repaired,
        "percents": percents,
        "rampdown": dict(stages),
        "orders": len(shop.orders),
        "wrong_answers": shop.wrong,
    }
    ok = outcome["states"] == ["UNSAFE", "SAFE"] and percents == [10, 50, 100] and shop.wrong == 0 and stages == {"rampdown": 997}
    print(json.dumps({"ok": ok, **outcome}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
