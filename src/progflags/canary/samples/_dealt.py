"""An unordered array of measurements dealt into batches: by its histogram, so that its order can't matter and ten million take a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from progflags.canary.counting import EDGES, LARGEST, OVERFLOW, Sample, position

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

__all__ = ["dealt", "numbers"]

_CHUNK: Final = 1 << 19  # values at a time: what is looked up beside them stays small
_MANY: Final = 10_000  # values from which they are kept as an array; fewer are as quick as they are


def numbers(data: Any, *, signed: bool, lasting: bool = False) -> tuple[Numbers, int] | None:
    """(Finite values, none negative unless `signed`; how many others were dropped) of many numbers; None: they are few, or no numbers."""
    if not hasattr(data, "__len__") or len(data) < _MANY:
        return None
    if hasattr(data, "dtype"):
        plain = getattr(data, "ndim", 0) == 1 and data.dtype.kind in "fiu"
    else:
        plain = isinstance(data, (list, tuple)) and set(map(type, data)) <= {float, int}
    if not plain:
        return None
    import numpy as np

    try:
        array = np.asarray(data, dtype=np.float64)
    except OverflowError:  # a whole number that no float can hold
        return None
    if lasting and np.isposinf(array).any():
        array = np.where(np.isposinf(array), LARGEST, array)  # what never returned is the slowest
    sound = array <= LARGEST
    sound &= array >= (-LARGEST if signed else 0.0)
    n = int(sound.sum())
    return array if n == len(array) else array[sound], len(array) - n


def dealt(values: Sequence[float], bounds: Sequence[float], *, warm: int, pieces: int) -> list[Sample]:
    """
    The first `warm` of the values, drawn at random, and the rest in equal `pieces`; always the same of the same values.

    What is drawn is how many of each bucket (a multivariate hypergeometric count), cut at `bounds` as well.
    """
    import numpy as np

    cuts = np.union1d(np.asarray(EDGES), np.asarray(bounds, dtype=np.float64))
    counts, array = np.zeros(len(cuts) + 1, dtype=np.int64), np.asarray(values, dtype=np.float64)
    for start in range(0, len(array), _CHUNK):
        counts += np.bincount(np.searchsorted(cuts, array[start : start + _CHUNK]), minlength=len(counts))
    met = np.flatnonzero(counts)
    places = [position(float(cuts[cell])) if cell < len(cuts) else OVERFLOW for cell in met]
    beyond = {bound: met > np.searchsorted(cuts, bound) for bound in bounds}
    left, rest, chance = counts[met], len(array) - warm, np.random.default_rng(0)
    found = []
    for size in (warm, *(rest * (i + 1) // pieces - rest * i // pieces for i in range(pieces))):
        taken = chance.multivariate_hypergeometric(left, size, method="marginals") if len(left) else left
        left = left - taken
        found.append(_sample(places, taken.tolist(), {bound: int(taken[above].sum()) for bound, above in beyond.items()}))
    return found


def _sample(places: Sequence[int], taken: Sequence[int], over: dict[float, int]) -> Sample:
    there = [place for place, count in zip(places, taken, strict=True) if count]
    if not there:
        return Sample(over=over)
    cells = [0] * (there[-1] - there[0] + 1)
    for place, count in zip(places, taken, strict=True):
        if count:
            cells[place - there[0]] += count
    return Sample(sum(cells), 0, 0, there[0], tuple(cells), over)
