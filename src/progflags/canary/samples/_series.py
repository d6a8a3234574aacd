"""What people hand over, made one thing: a metric's batches on one side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from progflags.canary._gate import Gate
from progflags.canary._words import Kind
from progflags.canary.counting import LARGEST
from progflags.canary.samples._dealt import numbers
from progflags.canary.samples._rate import Rate

__all__ = ["DROPPED", "Series", "dropped_of", "of_side", "outcomes", "series_for"]

DROPPED: Final = 0.01  # of a side's values; above it nothing may pass


@dataclass(frozen=True, slots=True)
class Series:
    """
    One metric on one side: batches of rates, or batches of values. `whole`: it came as one piece, without an order.

    `dropped` counts what was no finite, non-negative number.
    """

    rates: tuple[Rate, ...] = ()
    values: tuple[tuple[float, ...], ...] = ()
    whole: bool = True
    dropped: int = 0

    @property
    def n(self) -> float:
        return sum(rate.base for rate in self.rates) if self.rates else sum(len(batch) for batch in self.values)

    @property
    def pooled(self) -> Rate:
        """All its rates as one."""
        events, base = sum(rate.events for rate in self.rates), sum(rate.base for rate in self.rates)
        return Rate(events, exposure=base) if any(rate.trials is None for rate in self.rates) else Rate(events, base)

    @property
    def flat(self) -> list[float]:
        """All its values as one."""
        flat: list[float] = []
        for batch in self.values:
            listed = getattr(batch, "tolist", None)
            flat.extend(batch if listed is None else listed())
        return flat

    @property
    def spoiled(self) -> bool:
        """More was dropped than can be overlooked."""
        return self.dropped > DROPPED * (self.n + self.dropped)

    @classmethod
    def of(cls, data: Any, *, signed: bool = False, lasting: bool = False) -> Series:
        """
        From a Rate, a list of Rates, an array, a list of arrays, or a Sample-like iterable of numbers.

        `lasting`: they are durations, of which an infinite one is the slowest and a boolean is none.

        Raises:
            TypeError: it is none of these.
        """
        if isinstance(data, Rate):
            return cls(rates=(data,))
        if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
            raise TypeError(f"a metric is a pf.Rate, an array of numbers, or a list of either; not {type(data).__name__}")
        many = numbers(data, signed=signed, lasting=lasting)
        if many is not None:
            kept_of_many, dropped = many
            return cls(values=(kept_of_many,) if len(kept_of_many) else (), dropped=dropped)  # type: ignore[arg-type] # read as floats
        rows = list(data)
        if rows and all(isinstance(row, Rate) for row in rows):
            return cls(rates=tuple(rows), whole=False)
        if rows and all(_is_batch(row) for row in rows):
            kept = [_kept(row, signed=signed, lasting=lasting) for row in rows]
            return cls(values=tuple(values for values, _ in kept), whole=False, dropped=sum(n for _, n in kept))
        values, dropped = _kept(rows, signed=signed, lasting=lasting)
        return cls(values=(values,) if values else (), dropped=dropped)


def _is_batch(row: Any) -> bool:
    return isinstance(row, Iterable) and not isinstance(row, (str, bytes, Mapping, Rate))


def _kept(values: Iterable[Any], *, signed: bool, lasting: bool) -> tuple[tuple[float, ...], int]:
    kept, dropped = [], 0
    for value in values:
        try:
            no = isinstance(value, (str, bytes)) or (lasting and (isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"))
            number = math.nan if no else float(value)
            number = LARGEST if lasting and number == math.inf else number  # it never returned
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if abs(number) <= LARGEST and (signed or number >= 0):
            kept.append(number)
        else:
            dropped += 1
    return tuple(kept), dropped


def of_side(side: Any) -> Mapping[str, Any]:
    """
    One side's metrics by name: a mapping as it is, a DataFrame's columns, a file's columns.

    A table with `seconds` and `error` columns (one row per request) gives `latency` and `error_rate`.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(side, (str, Path)):
        from progflags.canary.samples._files import read

        return read(side)
    if hasattr(side, "columns") and hasattr(side, "__getitem__"):
        from progflags.canary.samples._files import from_columns

        return from_columns({str(name): list(side[name]) for name in side.columns})
    if isinstance(side, Mapping):  # several gates may read what can be gone through only once
        return {name: list(data) if isinstance(data, Iterator) else data for name, data in side.items()}
    raise TypeError(f"a side is a mapping of metrics, a DataFrame or the path of a file; not {type(side).__name__}")


def series_for(gate: Gate, side: Mapping[str, Any]) -> Series | None:
    """The gate's metric on a side, under its own name or its sample's; None where it is missing."""
    names: Sequence[str] = (gate.metric, gate.sample, *(("latency", "seconds") if gate.sample == "latency" else ()))
    for name in names:
        if side.get(name) is not None:
            return Series.of(side[name], signed=gate.kind == Kind.MEAN, lasting=gate.kind == Kind.QUANTILE)
    return None


def dropped_of(pairs: Iterable[tuple[Gate, Series | None, Series | None]]) -> tuple[str, ...]:
    """What was left out of a judgement, in sentences."""
    return tuple(
        f"{gate.metric}: {series.dropped:g} of the {name}'s {series.dropped + series.n:g} values were dropped: none is a number it can have"
        for gate, b, c in pairs
        for name, series in (("baseline", b), ("canary", c))
        if series is not None and series.dropped
    )


def outcomes(gate: Gate, series: Series | None) -> Series | None:
    """Where a rate is asked for, an array of 0 and 1 is one: each request's outcome."""
    if gate.kind != Kind.RATE or series is None or not set(series.flat) <= {0.0, 1.0} or not series.flat:
        return series
    return replace(series, values=(), rates=tuple(Rate(sum(batch), len(batch)) for batch in series.values))
