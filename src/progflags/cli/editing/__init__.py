"""
Flag files changed by a program: comments, order and style stay, and nothing is written that an application would refuse.

A command says which edits it means (`Put`, `Take`, `Insert`, `Move`) by looking at the definitions as they are; `carry_out` does the
rest:

    with place(arguments) as where:
        done = carry_out(where, lambda definitions: (definitions.flag(key), [Put(("flags", key, "percent"), 20)]), contexts, dry=False)
"""

from progflags.cli.editing._carry import Done, Plan, Refused, carry_out
from progflags.cli.editing._definitions import Definitions
from progflags.cli.editing._edit import Edit, Insert, Move, Path, Put, Take, at, same
from progflags.cli.editing._form import Text
from progflags.cli.editing._place import Place, empty, place

__all__ = [
    "Definitions",
    "Done",
    "Edit",
    "Insert",
    "Move",
    "Path",
    "Place",
    "Plan",
    "Put",
    "Refused",
    "Take",
    "Text",
    "at",
    "carry_out",
    "empty",
    "place",
    "same",
]
