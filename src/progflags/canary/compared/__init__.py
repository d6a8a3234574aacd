"""One look with a fixed sample size, and the judge of Kayenta, for comparison."""

from progflags.canary.compared._fixed import fixed
from progflags.canary.compared._kayenta import kayenta

__all__ = [
    "fixed",
    "kayenta",
]
