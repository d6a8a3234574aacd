"""
`python -m benchmarks [--html [RUNS]] [NAME [WORD …] …]`: run every bench_*.py here, or those named; each prints its own table.

A word that is no benchmark's name is handed to the one before it: `request fastapi` is of that framework alone.

`--html` runs those that the page about speed shows, twice or as often as it says (those with servers once), and writes the page.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SHOWN = ("evaluate", "dark_launch", "request", "growth", "canary")
ONCE = ("doors", "beside")
"""They take longest, and have rounds enough of their own."""


def main() -> None:
    words = sys.argv[1:]
    if words[:1] != ["--html"]:
        return run(words)
    times, named = (int(words[1]), words[2:]) if words[1:] and words[1].isdecimal() else (2, words[1:])
    for _ in range(times):
        run(named or SHOWN, page=True)
    if not named:
        run(ONCE, page=True)
    from benchmarks.kept import kept
    from benchmarks.speed_page import write

    write(kept())
    return None


def run(wanted: Sequence[str], *, page: bool = False) -> None:
    """`page`: of a benchmark that has it, only what the page shows."""
    found = {path.stem.removeprefix("bench_"): path.stem for path in sorted(Path(__file__).parent.glob("bench_*.py"))}
    asked: dict[str, list[str]] = {} if wanted else {name: [] for name in found}
    for word in wanted:
        if word in found:
            asked.setdefault(word, [])
        elif asked:
            next(reversed(asked.values())).append(word)
        else:
            raise SystemExit(f"no benchmark is called {word}; there are {', '.join(found)}")
    for name, words in asked.items():
        print(f"\n== {name} ==")
        module = import_module(f"benchmarks.{found[name]}")
        (getattr(module, "shown", module.main) if page else module.main)(*words)


if __name__ == "__main__":
    main()
