"""Dark launches, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from progflags._printed import counted
from progflags.overview._item import Item, Level

if TYPE_CHECKING:
    from progflags.darklaunch import DarkLaunchVerdict, ShadowSummary

__all__ = ["headline", "shadows"]


def shadows(every: Iterable[ShadowSummary]) -> Iterator[Item]:
    for one in every:
        verdict = one.verdict()
        unsafe = str(verdict.state) == "UNSAFE"
        do = f"progflags shadow report {one.flag}" if unsafe else ""
        level = Level.TROUBLE if unsafe else Level.FINE
        yield Item("shadow", _whose(one), level, f"dark launch {headline(one, verdict)}", do, str(verdict.state), about=one)


def _whose(one: ShadowSummary) -> str:
    return " ".join(filter(None, (one.flag, one.function, one.candidate)))


def headline(one: ShadowSummary, verdict: DarkLaunchVerdict) -> str:
    """Which launch, and what became of its calls."""
    named = one.flag + (f" · {one.function}" if one.function else "") + (f" · {one.candidate}" if one.candidate else "")
    differ = "failed" if one.scores else "differ"
    rate = "nothing was compared yet" if verdict.rate is None else f"{verdict.rate:.3%} of {counted(verdict.n, 'compared call')} {differ}"
    return f"{verdict.state}  {named}: {rate}, in {one.processes} process{'' if one.processes == 1 else 'es'}"
