"""Reading a rollout table: values in the file's own words, and what is refused with the place it stands at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from progflags._clock import seconds
from progflags._printed import quoted
from progflags.flags import meant

__all__ = ["PlanError", "duration", "mapping", "only", "percents", "placed", "ppm", "reading", "spelled", "truth", "whole"]


class PlanError(ValueError):
    """A plan that cannot be carried out. `key` is the path inside the rollout table; the message ends with the remedy."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(f"{key}: {message}" if key else message)
        self.message = message


def only(table: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Refuse a key that is none of `keys`; `x-…` keys are the author's own."""
    unknown = [key for key in table if key not in keys and not key.startswith("x-")]
    if unknown:
        choices = f"it is one of {', '.join(keys)}"
        raise PlanError(unknown[0], f"unknown key: {meant(unknown[0], keys) or choices}")


def duration(table: Mapping[str, Any], key: str, default: float) -> float:
    """The duration under `key`, in seconds."""
    value = table.get(key)
    return default if value is None else reading(value, seconds, key)


def reading(value: Any, read: Callable[[Any], Any], key: str) -> Any:
    """`read(value)`; what it refuses is refused at `key`."""
    with placed(key):
        return read(value)


def ppm(value: Any) -> int:
    """A percent in the file as parts per million."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise ValueError(f"{quoted(value)} is no percent: write a number from 0 to 100")
    share = round(value * 10_000)
    if abs(share - value * 10_000) > 1e-6:
        raise ValueError(f"{quoted(value)} has more than four decimals: a share is counted in parts per million")
    return share


def percents(values: Any) -> tuple[int, ...]:
    """One percent or a list of them, in ppm."""
    return tuple(ppm(value) for value in (values if isinstance(values, (list, tuple)) else [values]))


def mapping(value: Any) -> Mapping[str, Any]:
    """A table."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{quoted(value)} is no table")  # noqa: TRY004 - a bad value in a file, not a bad argument
    return value


def truth(value: Any) -> bool:
    """True or false, said so."""
    if not isinstance(value, bool):
        raise ValueError(f"{quoted(value)} is neither true nor false")  # noqa: TRY004 - as above
    return value


def whole(value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{quoted(value)} is no whole number")  # noqa: TRY004 - a bad value in a file, not a bad argument
    return value


def spelled(duration: float) -> str:
    """Seconds as a duration of the file."""
    return f"{duration:.6f}".rstrip("0").rstrip(".") + "s"


class placed:  # noqa: N801 - reads as a word at its only use: with placed("stages.0")
    """Whatever is refused inside is refused at `key`."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        del kind, trace
        if isinstance(error, PlanError):
            raise PlanError(f"{self.key}.{error.key}" if error.key else self.key, error.message) from None
        if isinstance(error, (ValueError, TypeError)):
            raise PlanError(self.key, str(error)) from None
