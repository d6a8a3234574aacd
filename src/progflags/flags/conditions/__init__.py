"""Who a rule is for: conditions as trees and as expressions, the operators, and the values they compare."""

from progflags.flags.conditions._checks import Check
from progflags.flags.conditions._compare import KEY, Compare, follow
from progflags.flags.conditions._conditions import Among, Every, Named, Never, Node, Some, left_out
from progflags.flags.conditions._expression import expression
from progflags.flags.conditions._implied import implies
from progflags.flags.conditions._literals import FromNow, Moment, Network, SemVer, Table, moment_of
from progflags.flags.conditions._operators import OPERATORS
from progflags.flags.conditions._setting import Setting
from progflags.flags.conditions._texts import Texts
from progflags.flags.conditions._tree import tree
from progflags.flags.conditions._unfit import ITEMWISE, Uncompared, misdeclared
from progflags.flags.conditions._values import foreign, named, shown_value

__all__ = [
    "ITEMWISE",
    "KEY",
    "OPERATORS",
    "Among",
    "Check",
    "Compare",
    "Every",
    "FromNow",
    "Moment",
    "Named",
    "Network",
    "Never",
    "Node",
    "SemVer",
    "Setting",
    "Some",
    "Table",
    "Texts",
    "Uncompared",
    "expression",
    "follow",
    "foreign",
    "implies",
    "left_out",
    "misdeclared",
    "moment_of",
    "named",
    "shown_value",
    "tree",
]
