"""
The command line: `progflags`, also `python -m progflags`.

One file per noun; each has `add_parser(commands)` and `run(arguments) -> int`. Exit codes are the same everywhere:
0 good, 1 a gate failed (or the demo's story did not go as told), 2 usage or a bad file, 3 undecided.
"""

from progflags.cli._main import main

__all__ = ["main"]
