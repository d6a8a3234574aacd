"""`python -m progflags` is the `progflags` command."""

import sys

from progflags.cli import main

if __name__ == "__main__":
    sys.exit(main())
