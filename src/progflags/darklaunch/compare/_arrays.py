"""
Arrays, columns and tables, compared at their own libraries' speed and by the rules as they are for single numbers.

Two numbers are near by the larger of the absolute bound and the relative one of the larger number, whichever side it is on.
Integers are subtracted as integers. NaN, NaT and missing values equal themselves and nothing else; what a mask hides is not
looked at. A table is compared column by column, so that a rule may name one.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

__all__ = ["SAME", "Leeway", "SpecialDiff", "array", "arrow_column", "pandas_column", "polars_column", "table"]


class Leeway(NamedTuple):
    """How far two numbers may lie apart: by `absolute`, or by the share `relative` of the larger; `strict`: and of one class."""

    absolute: Decimal
    relative: float
    strict: bool


#: A comparison of a class's own: (control, candidate, leeway) → the kind of difference, SAME, or None: look inside.
SpecialDiff = Callable[[Any, Any, Leeway], str | None]
SAME: Final = ""


def array(a: Any, b: Any, leeway: Leeway) -> str | None:
    """Two numpy arrays or scalars; None for arrays of objects."""
    import numpy as np

    if a.shape != b.shape:
        return "shape"
    if a.dtype != b.dtype and (leeway.strict or not (_is_number(a.dtype) and _is_number(b.dtype))):
        return "dtype"
    if a.dtype.kind == "O":
        return None
    if isinstance(a, np.ma.MaskedArray) or isinstance(b, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(a)
        if not _same(np, hidden, np.ma.getmaskarray(b), leeway):
            return "mask"
        return SAME if _same(np, np.ma.getdata(a)[~hidden], np.ma.getdata(b)[~hidden], leeway) else "value"
    return SAME if _same(np, np.asarray(a), np.asarray(b), leeway) else "value"


def _is_number(dtype: Any) -> bool:
    return dtype.kind in "iufc"


def _same(np: Any, a: Any, b: Any, leeway: Leeway) -> bool:
    if a.dtype.names is not None:  # of records: field by field
        return all(_same(np, a[name], b[name], leeway) for name in a.dtype.names)
    if not _is_number(a.dtype):
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "mM"))
    alike = (a == b) | ((a != a) & (b != b))  # noqa: PLR0124 - only NaN is not itself
    if alike.all():
        return True
    if not (leeway.absolute or leeway.relative):
        return False
    return bool(_near(np, a[~alike], b[~alike], leeway).all())


def _near(np: Any, a: Any, b: Any, leeway: Leeway) -> Any:
    """Which of these pairs of different numbers are within the tolerance, as it is for two floats (see `_allow`)."""
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return np.array([_whole(int(x), int(y), leeway) for x, y in zip(a, b, strict=True)])
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(abs(a), abs(b))
        apart = abs(a - b)
        bound = np.maximum(float(leeway.absolute), leeway.relative * size) * (1 + 1e-9) + np.finfo(apart.dtype).eps * size
        return (apart <= bound) & np.isfinite(bound)


def _whole(a: int, b: int, leeway: Leeway) -> bool:
    return abs(a - b) <= leeway.absolute or abs(a - b) <= leeway.relative * max(abs(a), abs(b))


def table(a: Any, b: Any, leeway: Leeway) -> str | None:
    """Two tables of one library: their shape and the labels of rows; the columns are looked at one by one."""
    if a.shape[0] != b.shape[0]:
        return "shape"
    names = [list(getattr(each, "column_names", None) or each.columns) for each in (a, b)]
    if len(set(names[0])) != len(names[0]) or len(set(names[1])) != len(names[1]):
        return SAME if names[0] == names[1] and a.equals(b) else "value"  # columns of one name can't be told apart
    if names[0] != names[1] and sorted(map(str, names[0])) == sorted(map(str, names[1])):
        return "order"
    if hasattr(a, "index") and pandas_column(a.index, b.index, leeway) != SAME:
        return "index"
    return None


def pandas_column(a: Any, b: Any, leeway: Leeway) -> str:
    """Two pandas Series, Index objects or extension arrays."""
    if a.shape != b.shape:
        return "shape"
    if a.dtype != b.dtype and (leeway.strict or not (_is_counted(a.dtype) and _is_counted(b.dtype))):
        return "dtype"
    if getattr(a, "names", getattr(a, "name", None)) != getattr(b, "names", getattr(b, "name", None)):
        return "name"
    if hasattr(a, "index") and pandas_column(a.index, b.index, leeway) != SAME:
        return "index"
    if not (_is_counted(a.dtype) and _is_counted(b.dtype)):
        return SAME if a.equals(b) else "value"
    there = ~a.isna()
    if (there != ~b.isna()).any():
        return "value"
    return array(_numbers(a[there]), _numbers(b[there]), leeway) or SAME


def _is_counted(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "iufc" and getattr(dtype, "_is_numeric", True)


def _numbers(column: Any) -> Any:
    return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", column.dtype))


def polars_column(a: Any, b: Any, leeway: Leeway) -> str:
    """Two polars Series."""
    return _column(a, b, leeway, a.dtype.is_numeric() and b.dtype.is_numeric() and not a.dtype.is_decimal())


def arrow_column(a: Any, b: Any, leeway: Leeway) -> str:
    """Two pyarrow arrays, chunked arrays or scalars; how they are cut into chunks is no difference."""
    from pyarrow import types

    if hasattr(a, "as_py"):
        return SAME if a.equals(b) or (a.type == b.type and a.as_py() != a.as_py() and b.as_py() != b.as_py()) else "value"
    return _column(a, b, leeway, all(types.is_integer(each.type) or types.is_floating(each.type) for each in (a, b)))


def _column(a: Any, b: Any, leeway: Leeway, numbers: bool) -> str:
    """Of a library that tells missing values from NaN."""
    if len(a) != len(b):
        return "shape"
    if getattr(a, "dtype", getattr(a, "type", None)) != getattr(b, "dtype", getattr(b, "type", None)) and (leeway.strict or not numbers):
        return "dtype"
    if getattr(a, "name", None) != getattr(b, "name", None):
        return "name"
    if not numbers:
        return SAME if a.equals(b) else "value"
    import numpy as np

    if not np.array_equal(np.asarray(a.is_null()), np.asarray(b.is_null())):
        return "value"
    return array(_without_gaps(a), _without_gaps(b), leeway) or SAME


def _without_gaps(column: Any) -> Any:
    return (column.drop_nulls() if hasattr(column, "drop_nulls") else column.drop_null()).to_numpy()
