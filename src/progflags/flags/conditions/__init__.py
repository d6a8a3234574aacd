"""Who a rule is for: conditions as trees and as expressions, the operators, and the values they compare."""

from progflags.flags.conditions._checks import Check
from progflags.flags.conditions._conditions import KEY, Compare, Every, Named, Never, Node, Some
from progflags.flags.conditions._expression import expression
from progflags.flags.conditions._implied import implies
from progflags.flags.conditions._literals import Moment, Network, SemVer, moment_of
from progflags.flags.conditions._operators import OPERATORS
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._tree import tree
from progflags.flags.conditions._unfit import Uncompared, misdeclared
from progflags.flags.conditions._values import foreign, named, shown_value

__all__ = [
    "KEY",
    "OPERATORS",
    "Check",
    "Compare",
    "Every",
    "Moment",
    "Named",
    "Network",
    "Never",
    "Node",
    "SemVer",
    "Some",
    "Texts",
    "Uncompared",
    "expression",
    "foreign",
    "implies",
    "misdeclared",
    "moment_of",
    "named",
    "shown_value",
    "tree",
]
