"""
Three releases judged from the files that their load tests left behind; no flag, no store, no running service.

Every file has a row a request: `seconds` and `error`. Each release is held against the one in production by the same gates. One is
as good, one has a slow tail that its median hides, one was tried with so few requests that nobody can know: PASS, ROLLBACK, HOLD.
The same verdict comes from the command line, with an exit code that a pipeline can stop at.

Run it: `python examples/canary_from_csv.py`. It takes a few seconds and ends with 0 when the story went as told.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import progflags as pf

GATES = [
    pf.Gate("error_rate", max_increase=0.5, min_absolute=0.005),  # half as many again, and at least half a point, matters
    pf.Gate("p99_latency", max_increase=0.20),
]
AS_WORDS = ["--gate", "p99_latency<=+20%"]  # the second of them, as the command line writes it
RELEASES = {"tidied-up": "PASS", "new-cache": "ROLLBACK", "tried-for-a-minute": "HOLD"}


def load_test(path: Path, requests: int, *, failing: float = 0.002, missing: float = 0.0, seed: int) -> None:
    """What a load test writes: about 80 ms a request; `missing` is the share that a new cache makes wait for its rebuilding."""
    chance = random.Random(seed)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["seconds", "error"])
        for _ in range(requests):
            seconds = chance.lognormvariate(-2.5, 0.4)
            if chance.random() < missing:
                seconds += 0.4
            rows.writerow([f"{seconds:.6f}", int(chance.random() < failing)])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="progflags-example-") as temporary:
        folder = Path(temporary)
        production = folder / "production.csv"
        load_test(production, 20_000, seed=1)
        load_test(folder / "tidied-up.csv", 20_000, seed=2)
        load_test(folder / "new-cache.csv", 20_000, missing=0.02, seed=3)
        load_test(folder / "tried-for-a-minute.csv", 60, seed=4)

        analyzer = pf.CanaryAnalyzer(pf.CanaryConfig(gates=GATES))
        decisions, decided_by = {}, {}
        for release in RELEASES:
            report = analyzer.analyze(production, folder / f"{release}.csv")
            decisions[release] = str(report.decision)
            decided_by[release] = [name for name, found in report.results.items() if found.decision == report.decision]
            print(f"── {release} ".ljust(80, "─"))
            print(f"{report}\n")
        report.to_html(folder / "report.html")  # one file with plots, to attach to the build

        command = ["canary", str(production), str(folder / "new-cache.csv"), *AS_WORDS]
        said = subprocess.run([sys.executable, "-m", "progflags", *command], capture_output=True, text=True, check=False)
        print(f"$ progflags canary production.csv new-cache.csv {AS_WORDS[0]} '{AS_WORDS[1]}'\n{said.stdout}exit code {said.returncode}\n")

    ok = decisions == RELEASES and said.returncode == 1
    print(json.dumps({"ok": ok, "decisions": decisions, "decided_by": decided_by, "exit_code": said.returncode}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
