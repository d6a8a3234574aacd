"""
What the statistics page says, measured: every figure of it comes from here.

    python -m benchmarks.simulate [users] [means] [rollouts] [watch] [--reps N] [--seed 20261128] [--jobs 2] [--only WORD] [--rows DIR]

Chunks of replicates are taken from each cell in turn and written to DIR as they come, so that a run that is broken off has a table of
what it got, with the number of replicates in it. Rows of the same seed and the same code that are there already are not run again;
`--table` runs nothing. Chunks are drawn by seed, cell and number: the same whoever runs them, in whatever order, but for what each process
draws itself (of rollouts into which group a slice of time falls). `--same CODE` takes the rows of another code as well, of which it is
known that it decides the same.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from hashlib import sha256
from pathlib import Path

import progflags
from benchmarks import simulate_means, simulate_rollouts, simulate_users, simulate_watch

PARTS = {"users": simulate_users, "means": simulate_means, "rollouts": simulate_rollouts, "watch": simulate_watch}


def code():
    """A digest of what judges: rows of another judge are not mixed in."""
    here, found = Path(progflags.__file__).parent, sha256()
    for path in sorted(path for room in ("canary", "rollout") for path in (here / room).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def chunks(part, asked, known):
    """(cell, chunk, replicates) still to be run: the first chunk of every cell before the second of any."""
    reps = asked.reps or part.REPS
    for number in range(-(-reps // part.CHUNK)):
        for cell in part.cells():
            if asked.only in str(cell) and (repr(cell), number) not in known:
                yield cell, number, min(part.CHUNK, reps - number * part.CHUNK)


def _one(task):
    part, seed, cell, number, reps = task
    began = time.process_time()
    return {"cell": repr(cell), "chunk": number, "found": PARTS[part].run(cell, seed, number, reps), "took": time.process_time() - began}


def stored(path, seed, codes):
    """The rows of earlier runs with this seed and one of these codes, each chunk once."""
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return [*{(row["cell"], row["chunk"]): row for row in lines if row["seed"] == seed and row["code"] in codes}.values()]


def merged(part, rows):
    """(cell, found) of every cell that was run, its chunks one after the other."""
    by_cell = {}
    for row in sorted(rows, key=lambda row: row["chunk"]):
        whole = by_cell.setdefault(row["cell"], {})
        for name, each in row["found"].items():
            whole.setdefault(name, []).extend(each)
    return [(cell, by_cell[repr(cell)]) for cell in part.cells() if repr(cell) in by_cell]


def simulate(name, asked, pool):
    """Run what is missing of a part and print its tables."""
    part, path, of = PARTS[name], asked.rows / f"{name}.jsonl", code()
    rows = stored(path, asked.seed, {of, *asked.same})
    tasks = [(name, asked.seed, *each) for each in chunks(part, asked, {(row["cell"], row["chunk"]) for row in rows})]
    with path.open("a") as file:
        for row in () if asked.table else pool.imap_unordered(_one, tasks):
            rows.append({**row, "seed": asked.seed, "code": of})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
    took = sum(row["took"] for row in rows)
    told = part.told([(cell, found) for cell, found in merged(part, rows) if asked.only in str(cell)])
    print(f"\n## {name}\n\nSeed {asked.seed}, code {of}, {took:.0f} s of processor.\n\n{told}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all of them if none is named")
    options.add_argument("--reps", type=int, default=0, help="replicates of each cell; 1,000, of whole rollouts 400, if not said")
    options.add_argument("--seed", type=int, default=20261128)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--only", default="", help="cells whose name contains this")
    options.add_argument("--rows", type=Path, default=Path("build/simulation"))
    options.add_argument("--same", nargs="*", default=[], metavar="CODE", help="rows of these as well")
    options.add_argument("--table", action="store_true", help="run nothing: the tables of what is there")
    asked = options.parse_args()
    asked.rows.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(asked.jobs) as pool:
        for name in asked.parts or PARTS:
            simulate(name, asked, pool)


if __name__ == "__main__":
    main()
