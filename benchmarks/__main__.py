"""`python -m benchmarks [NAME …]`: run every bench_*.py here, or those named; each prints its own table."""

import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    here = Path(__file__).parent
    wanted = sys.argv[1:]
    for path in sorted(here.glob("bench_*.py")):
        name = path.stem.removeprefix("bench_")
        if wanted and name not in wanted:
            continue
        print(f"\n== {name} ==")
        import_module(f"benchmarks.{path.stem}").main()


main()
