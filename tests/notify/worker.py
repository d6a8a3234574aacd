"""
A worker of a fleet: `python worker.py FILE STORE SECONDS`. Serves until it is told otherwise, by lines on its standard input.

`kill REASON` kills the flag of that name; `quit` ends it properly. A claim is free after SECONDS without a sign of life. It says `ready` when it is connected, and `done` after each.
"""

from __future__ import annotations

import sys

import progflags as pf
from progflags.rollout.run import _claim


def main() -> None:
    _claim.GONE, _claim._BEAT = float(sys.argv[3]), float(sys.argv[3]) / 4
    with pf.connect(sys.argv[1], store=sys.argv[2]) as flags:
        print("ready", flush=True)
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "quit":
                return
            if word == "kill":
                flags.kill(rest, reason=rest)
            if word == "unkill":
                flags.unkill(rest, reason=rest)
            print("done", flush=True)


if __name__ == "__main__":
    main()
