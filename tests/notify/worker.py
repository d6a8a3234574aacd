"""
A worker of a fleet: `python worker.py FILE STORE`. Serves until it is told otherwise, by lines on its standard input.

`kill REASON` kills the flag `banner`; `quit` ends it properly. It says `ready` when it is connected, and `done` after each.
"""

from __future__ import annotations

import sys

import progflags as pf


def main() -> None:
    with pf.connect(sys.argv[1], store=sys.argv[2]) as flags:
        print("ready", flush=True)
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "quit":
                return
            if word == "kill":
                flags.kill("banner", reason=rest)
            if word == "unkill":
                flags.unkill("banner", reason=rest)
            print("done", flush=True)


if __name__ == "__main__":
    main()
