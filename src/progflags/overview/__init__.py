"""What there is to see just now, in a line each: for the command line, the console, and whoever else looks."""

from progflags.overview._item import Item, Level
from progflags.overview._now import Now, nothing
from progflags.overview._rollouts import NEXT, essence
from progflags.overview._shadows import headline

__all__ = [
    "NEXT",
    "Item",
    "Level",
    "Now",
    "essence",
    "headline",
    "nothing",
]
