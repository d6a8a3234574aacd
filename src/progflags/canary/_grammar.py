"""Gates as one types them: `p99_latency<=+10%`, `error_rate<=0.1%`, `conversion>=-2%!warning`."""

from __future__ import annotations

import re
from typing import Any, Final

from progflags._printed import quoted
from progflags.canary._gate import ANY, Gate

__all__ = ["parse_gate"]

_GATE: Final = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=)\s*([+-]?)(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(%|ms|s)?\s*(?:!\s*(\w+))?\s*")
_ANOMALY: Final = re.compile(r"\s*\*\s*(?:!\s*(\w+))?\s*")
_UNITS: Final = {"%": 0.01, "ms": 0.001, "s": 1.0, None: 1.0}


def parse_gate(text: str, **options: Any) -> Gate:
    """
    A gate from its short form. A sign makes it relative to the control: `<=+10%` tolerates 10 % more, `>=-2%` 2 % less.

    Without a sign it is absolute: `<=0.001`, `<=0.1%`, `<=500ms`, `>=5%`. `*` watches every metric for anomalies. The suffix
    `!warning` lets the gate hold but never roll back. `options` are further keys of Gate.

    Raises:
        ValueError: the text is no gate; the message shows what one looks like.
    """
    anomaly = _ANOMALY.fullmatch(text)
    if anomaly:
        return Gate(ANY, anomaly=False, **_severity(anomaly[1]), **options)
    match = _GATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{quoted(text)} is no gate: write 'p99_latency<=+10%', 'error_rate<=0.1%', 'conversion>=-2%!warning' or '*'")
    metric, sense, sign, number, unit, severity = match.groups()
    value = round(float(number) * _UNITS[unit], 15)
    if (sense, sign) in {("<=", "-"), (">=", "+")}:
        raise ValueError(f"{quoted(text)} asks for an improvement, no gate: write '<=+…' for what may rise, '>=-…' for what may fall")
    if sign and unit in {"ms", "s"}:
        raise ValueError(f"{quoted(text)}: a change against the control is relative: write a percentage, as in '+10%'")
    bound = {("<=", "+"): "max_increase", (">=", "-"): "max_decrease", ("<=", ""): "max", (">=", ""): "min"}[sense, sign]
    return Gate.of({"metric": metric, bound: value, **_severity(severity), **options})


def _severity(word: str | None) -> dict[str, Any]:
    return {} if word is None else {"severity": word}
