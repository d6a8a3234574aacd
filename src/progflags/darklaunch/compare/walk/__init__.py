"""One comparison in progress: two values side by side, from the top down, each pair by what it is."""

from progflags.darklaunch.compare.walk._bag import Freezer
from progflags.darklaunch.compare.walk._mappings import mapping
from progflags.darklaunch.compare.walk._objects import objects, of_two_types
from progflags.darklaunch.compare.walk._scalars import scalar
from progflags.darklaunch.compare.walk._sequences import sequence
from progflags.darklaunch.compare.walk._walk import Handler, Kinds, Walk

__all__ = ["Freezer", "Handler", "Kinds", "Walk", "mapping", "objects", "of_two_types", "scalar", "sequence"]
