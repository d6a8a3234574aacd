"""
A batch job rolls a new computation out over its own records, and takes it back when it fails.

Every few minutes a job bills the customers whose turn it is, in a process of its own that lives for a second. A rewrite of the billing
gets a tenth of the customers at first. It cannot cope with customers abroad: it is rolled back, and the jobs that follow bill
everybody the old way. Mended, it is tried again and climbs to all of them. No invoice is lost on the way: where the rewrite
raises, the job bills that customer the old way at once.

A process that lives for a second is no place for a rollout's clock. So the jobs only serve and count (`control=False`), and a process
that stays, the scheduler here, steps the rollout. They share one SQLite file.

Run it: `python examples/batch_job.py`. It takes about fifteen seconds and ends with 0 when the story went as told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import progflags as pf

FLAG = "billing-rewrite"
# A real table says bake = "1d" and leaves `policy` out: in a few seconds nothing can be proven, and these gates say so openly.
FLAGS = """
[flags.billing-rewrite.rollout]
watch = "300ms"
batch = "30ms"
cool_down = "1m"
gates = [{ metric = "error_rate", max_increase = 0.5, policy = "no_alarm" }]
stages = [
  { percent = 10, bake = "300ms", min_samples = 90 },
  { percent = 50, bake = "300ms", min_samples = 50 },
]
"""
CUSTOMERS = 3_000


def bill_old(customer: int) -> float:
    return round(100 + customer % 7, 2)


def bill_new(customer: int, *, mended: bool) -> float:
    if customer % 8 == 0 and not mended:
        raise KeyError("no tax rate for abroad")
    return round(100 + customer % 7, 2)


def job(folder: Path, first: int, last: int, *, mended: bool) -> None:
    """One run: connects, bills its customers, tells what it counted, ends."""
    invoices: dict[int, float] = {}
    with pf.connect(folder / "flags.toml", store=f"sqlite:///{folder / 'state.db'}", control=False) as flags:

        def rewritten(customer: int) -> float:
            return bill_new(customer, mended=mended)

        # One that raises counts as an error of its arm, and is ours to deal with: the decorator hands the exception on.
        bill = pf.progressive(FLAG, candidate=rewritten, flags=flags, key=str)(bill_old)
        new = 0
        for customer in range(first, last):
            new += flags.is_enabled(FLAG, str(customer))
            try:
                invoices[customer] = bill(customer)
            except KeyError:
                invoices[customer] = bill_old(customer)
        print(json.dumps({"new": new, "invoices": invoices}))


def jobs(folder: Path, flags: pf.Flags, *, mended: bool) -> tuple[Counter[str], pf.RolloutStatus]:
    """The scheduler: a job for the next 1,000 customers, again and again, until the rollout has ended."""
    seen: Counter[str] = Counter()
    first, until = 0, time.monotonic() + 120
    while time.monotonic() < until:
        share = flags.rollouts.status(FLAG).percent
        command = [sys.executable, __file__, "job", str(folder), str(first), str(first + 1000), *(["mended"] if mended else [])]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        wrong = sum(amount != bill_old(int(customer)) for customer, amount in told["invoices"].items())
        seen.update(jobs=1, invoices=len(told["invoices"]), new=told["new"], wrong=wrong)
        status = flags.rollouts.status(FLAG)
        print(
            f"  job {seen['jobs']:2}: {len(told['invoices'])} invoices, {told['new']:4} the new way   (at {share:g} % when it began)",
            flush=True,
        )
        if status.state in ("rolled_back", "cooling_down", "completed", "held"):
            break
        first = (first + 1000) % CUSTOMERS
    print(f"  → {status.state}: {status.reason}\n")
    return seen, status


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as temporary:
        folder = Path(temporary)
        (folder / "flags.toml").write_text(FLAGS)
        with pf.connect(folder / "flags.toml", store=f"sqlite:///{folder / 'state.db'}") as flags:
            print("the rewrite, with a bug for customers abroad:")
            flags.rollouts.start(FLAG, by="ann", reason="tried on the test system")
            bad, fallen = jobs(folder, flags, mended=False)
            reach = fallen.reach
            print("the rewrite, mended:")
            flags.rollouts.retry(FLAG, by="ann", reason="tax rates for abroad", force=True)
            good, risen = jobs(folder, flags, mended=True)
    outcome = {
        "bad": {"state": str(fallen.state), "percent_reached": reach, **bad},
        "good": {"state": str(risen.state), **good},
    }
    ok = (
        fallen.state in ("rolled_back", "cooling_down")
        and reach == 10
        and risen.state == "completed"
        and bad["wrong"] == good["wrong"] == 0
        and good["invoices"] == 1000 * good["jobs"]
    )
    print(json.dumps({"ok": ok, **outcome}))
    return 0 if ok else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["job", folder, first, last, *words]:
            job(Path(folder), int(first), int(last), mended="mended" in words)
        case _:
            sys.exit(main())
