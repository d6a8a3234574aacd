"""
`python -m benchmarks [--html [RUNS]] [NAME …]`: run every bench_*.py here, or those named; each prints its own table.

`--html` runs those that the page about speed shows, three times or as often as it says, and writes the page's tables and plots.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SHOWN = ("evaluate", "dark_launch", "doors", "canary")


def main() -> None:
    words = sys.argv[1:]
    if words[:1] != ["--html"]:
        return run(words)
    times, named = (int(words[1]), words[2:]) if words[1:] and words[1].isdecimal() else (3, words[1:])
    for _ in range(times):
        run(named or SHOWN)
    from benchmarks.kept import kept
    from benchmarks.speed_page import write

    write(kept())
    return None


def run(wanted: Sequence[str]) -> None:
    here = Path(__file__).parent
    for path in sorted(here.glob("bench_*.py")):
        name = path.stem.removeprefix("bench_")
        if wanted and name not in wanted:
            continue
        print(f"\n== {name} ==")
        import_module(f"benchmarks.{path.stem}").main()


main()
