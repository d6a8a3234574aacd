"""Arrays and tables: the rules mean for them what they mean for single numbers."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.darklaunch import diff, tolerance
from progflags.darklaunch.compare._comparison import Budget
from progflags.darklaunch.compare._rules import compile_rules

np = pytest.importorskip("numpy")
ROOM = Budget(nodes=10_000_000, seconds=60.0)


def found(a, b, *rules, strict=True):
    said = diff(a, b, compile_rules(rules), budget=ROOM, strict=strict)
    assert not said.uncomparable
    assert not said.truncated
    return [(difference.path, difference.kind) for difference in said.differences]


NEAR = tolerance("$", abs=0.01, rel=0.1)
NAT = np.datetime64("NaT")


@pytest.mark.parametrize(
    ("a", "b", "rules", "expected"),
    [
        (np.array([1.0]), np.array([1.1]), [tolerance("$", rel=0.1)], []),
        (np.array([1.1]), np.array([1.0]), [tolerance("$", rel=0.1)], []),  # of the larger, on whichever side
        (np.array([10.0]), np.array([11.05]), [NEAR], []),
        (np.array([10.0]), np.array([11.2]), [NEAR], [("$", "value")]),  # the bounds do not add up
        (np.array([np.inf]), np.array([np.inf]), [NEAR], []),
        (np.array([np.inf]), np.array([1.0]), [NEAR], [("$", "value")]),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.001]), [NEAR], []),
        (np.array([np.nan]), np.array([1.0]), [NEAR], [("$", "value")]),
        (np.array([2**60]), np.array([2**60 + 1]), [tolerance("$", abs=0.5)], [("$", "value")]),
        (np.array([2**60]), np.array([2**60 + 1]), [tolerance("$", abs=1)], []),
        (np.array([2**63], "u8"), np.array([2**63 + 2], "u8"), [tolerance("$", abs=1)], [("$", "value")]),
        (np.array([-(2**63)]), np.array([2**63 - 1]), [tolerance("$", abs=1)], [("$", "value")]),
        (np.array([1 + 1j]), np.array([1.001 + 1j]), [NEAR], []),
        (np.array([True]), np.array([False]), [NEAR], [("$", "value")]),
        (np.array([NAT, "2026-01-01"], "M8[s]"), np.array([NAT, "2026-01-01"], "M8[s]"), [], []),
        (np.array([NAT], "M8[s]"), np.array(["2026-01-01"], "M8[s]"), [], [("$", "value")]),
        (np.array(["a"]), np.array(["b"]), [NEAR], [("$", "value")]),
        (np.array([1, None, "x"], object), np.array([1, None, "x"], object), [], []),
        (np.array([1.0, None], object), np.array([1.001, None], object), [NEAR], []),
        (np.array([[1], None], object), np.array([[2], None], object), [], [("$[*][*]", "value")]),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.0, 99.0], mask=[0, 1]), [], []),  # what is hidden is not looked at
        (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.0, 2.0], mask=[0, 0]), [], [("$", "mask")]),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([1.5, 2.0], mask=[0, 1]), [], [("$", "value")]),
        (np.array([(1, np.nan)], "i4, f8"), np.array([(1, np.nan)], "i4, f8"), [], []),
        (np.array([(1, 2.0)], "i4, f8"), np.array([(1, 2.001)], "i4, f8"), [NEAR], []),
        (np.array([(1, 2.0)], "i4, f8"), np.array([(2, 2.0)], "i4, f8"), [], [("$", "value")]),
        (np.float64(1.0), np.float64(1.001), [NEAR], []),
        (np.datetime64("NaT"), np.datetime64("NaT"), [], []),
        (np.zeros(0), np.zeros(0), [NEAR], []),
        (np.float32([1.0]), np.float32([1.0000001]), [], [("$", "value")]),
    ],
)
def test_arrays_are_compared_as_single_values_are(a, b, rules, expected):
    assert found(a, b, *rules) == found(b, a, *rules) == expected


def test_arrays_of_another_number_type_are_equal_where_types_are_not_strict():
    assert found(np.array([1, 2]), np.array([1.0, 2.0])) == [("$", "dtype")]
    assert found(np.array([1, 2]), np.array([1.0, 2.0]), strict=False) == []
    assert found(np.array([1, 2]), np.array(["1", "2"]), strict=False) == [("$", "dtype")]


NUMBERS = st.one_of(st.floats(width=64), st.floats(-2, 2), st.integers(-(2**63), 2**63 - 1))


@given(NUMBERS, NUMBERS, st.sampled_from([0, 0.5, 1e-9, 1e12]), st.sampled_from([0.1, 1e-12, 0.5]))
def test_a_tolerance_means_the_same_for_an_array_and_for_a_number(x, y, absolute, relative):
    x, y = (float(x), float(y)) if isinstance(x, float) or isinstance(y, float) else (x, y)
    rule = tolerance("$", abs=absolute, rel=relative)

    assert bool(found(np.array([x]), np.array([y]), rule)) == bool(found(x, y, rule))


# Tables of three libraries. The second pandas is asked in a process of its own, below.


def pandas(columns):
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=kind) for name, (kind, values) in columns.items()})


def polars(columns):
    import polars as pl

    kinds = {"float64": pl.Float64, "int64": pl.Int64, "object": pl.String}
    return pl.DataFrame({name: pl.Series(name, values, dtype=kinds[kind]) for name, (kind, values) in columns.items()})


def pyarrow(columns):
    import pyarrow as pa

    kinds = {"float64": pa.float64(), "int64": pa.int64(), "object": pa.string()}
    return pa.table({name: pa.array(values, kinds[kind], from_pandas=False) for name, (kind, values) in columns.items()})


LIBRARIES = [pandas, polars, pyarrow]
TABLE = {"id": ("int64", [1, 2, 3]), "price": ("float64", [1.0, 2.5, float("nan")]), "name": ("object", ["a", "b", "c"])}


@pytest.mark.parametrize("made", LIBRARIES)
@pytest.mark.parametrize(
    ("column", "changed", "rules", "expected"),
    [
        ("price", ("float64", [1.0, 2.5, float("nan")]), [], []),
        ("price", ("float64", [1.001, 2.5, float("nan")]), [], [("$.price", "value")]),
        ("price", ("float64", [1.001, 2.499, float("nan")]), [tolerance("$.price", abs=0.01)], []),
        ("price", ("float64", [1.001, 2.4, float("nan")]), [tolerance("$", abs=0.01)], [("$.price", "value")]),
        ("price", ("float64", [1.0, 2.5, 3.0]), [tolerance("$", abs=0.01)], [("$.price", "value")]),
        ("id", ("int64", [1, 2, 4]), [tolerance("$.id", abs=1)], []),
        ("id", ("float64", [1.0, 2.0, 3.0]), [], [("$.id", "dtype")]),
        ("name", ("object", ["a", "b", "x"]), [tolerance("$", abs=9)], [("$.name", "value")]),
        ("name", ("object", ["a", "b", None]), [], [("$.name", "value")]),
        ("more", ("int64", [1, 2, 3]), [], [("$.more", "extra")]),
    ],
)
def test_tables_are_compared_column_by_column(made, column, changed, rules, expected):
    pytest.importorskip(made.__name__)

    assert found(made(TABLE), made({**TABLE, column: changed}), *rules) == expected


@pytest.mark.parametrize("made", LIBRARIES)
def test_rows_and_the_order_of_columns_count(made):
    pytest.importorskip(made.__name__)
    shorter = {name: (kind, values[:2]) for name, (kind, values) in TABLE.items()}

    assert found(made(TABLE), made(shorter)) == [("$", "shape")]
    assert found(made(TABLE), made(dict(reversed(TABLE.items())))) == [("$", "order")]


def test_pandas_rows_have_labels_and_gaps():
    pd = pytest.importorskip("pandas")
    gaps = pd.Series([1, None, 3], dtype="Int64")

    assert found(pd.Series([1.0], index=["a"]), pd.Series([1.0], index=["b"])) == [("$", "index")]
    assert found(pd.DataFrame({"x": [1]}, index=["a"]), pd.DataFrame({"x": [1]}, index=["b"])) == [("$", "index")]
    assert found(pd.Series([1.0], name="a"), pd.Series([1.0], name="b")) == [("$", "name")]
    assert found(gaps, gaps.copy()) == []
    assert found(gaps, pd.Series([1, 2, 3], dtype="Int64")) == [("$", "value")]
    assert found(gaps, pd.Series([2, None, 3], dtype="Int64"), tolerance("$", abs=1)) == []
    assert found(pd.Series([pd.NaT, dt.datetime(2026, 1, 1)]), pd.Series([pd.NaT, dt.datetime(2026, 1, 1)])) == []
    assert found(pd.Index([1.0]), pd.Index([1.001]), tolerance("$", abs=0.01)) == []
    assert found(pd.Series(["a", "b"], dtype="category"), pd.Series(["a", "c"], dtype="category")) != []
    assert found(pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 2]], columns=["a", "a"])) == []
    assert found(pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 3]], columns=["a", "a"])) == [("$", "value")]


def test_missing_is_not_nan_where_a_library_tells_them_apart():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")

    assert found(pl.Series([None, 1.0]), pl.Series([float("nan"), 1.0])) == [("$", "value")]
    assert found(pl.Series([None, 1.0]), pl.Series([None, 1.0])) == []
    assert found(pa.array([None, 1.0]), pa.array([float("nan"), 1.0], from_pandas=False)) == [("$", "value")]
    assert found(pa.chunked_array([[1.0], [2.0]]), pa.chunked_array([[1.0, 2.001]]), tolerance("$", abs=0.01)) == []
    assert found(pa.scalar(float("nan")), pa.scalar(float("nan"))) == []
    assert found(pa.record_batch({"x": [1.0]}), pa.record_batch({"x": [1.001]}), tolerance("$.x", abs=0.01)) == []


def test_the_other_major_version_of_pandas_is_recognised_too():
    """Its classes say they are of another module."""
    older = Path(sys.prefix) / "pandas2"
    if not older.is_dir():
        reason = "no pandas 2 beside the one installed: make test installs it"
        pytest.fail(reason) if os.environ.get("CI", "").lower() == "true" else pytest.skip(reason)
    program = f"""
import sys; sys.path[:0] = [{str(older)!r}, {str(Path(__file__).parent)!r}]
import pandas; assert pandas.__version__.startswith("2."), pandas.__version__
import test_arrays as t
t.test_pandas_rows_have_labels_and_gaps(); t.test_rows_and_the_order_of_columns_count(t.pandas)
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
