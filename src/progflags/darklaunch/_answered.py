"""The control's answer is the caller's, whatever it is; the call that shadows it hears of it, and how long it took."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Protocol, TypeVar

from progflags.darklaunch._experiment import Experiment

__all__ = ["answered", "awaited"]

T = TypeVar("T")


class Shadowing(Protocol):
    """A call that is shadowed, or several of them, as its caller's side knows it."""

    def returned(self, value: T, seconds: float) -> T: ...

    def raised(self, error: BaseException, seconds: float) -> None: ...

    async def finish(self) -> None: ...


def answered(
    experiment: Experiment, call: Shadowing | None, control: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> T:
    """What the control answers. `call` None: it is timed, and nobody is compared with it."""
    began = perf_counter()
    try:
        value = control(*args, **kwargs)
    except BaseException as error:
        if call is not None:
            call.raised(error, perf_counter() - began)
        raise
    seconds = perf_counter() - began
    experiment.timed(seconds)
    return value if call is None else call.returned(value, seconds)


async def awaited(
    experiment: Experiment, call: Shadowing | None, control: Callable[..., Awaitable[T]], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> T:
    """As `answered`, for coroutine functions. Inline, the shadow has run when this returns."""
    began = perf_counter()
    try:
        value = await control(*args, **kwargs)
    except BaseException as error:
        if call is not None:
            call.raised(error, perf_counter() - began)
            if experiment.inline:
                await call.finish()
        raise
    seconds = perf_counter() - began
    experiment.timed(seconds)
    if call is not None:
        call.returned(value, seconds)
        if experiment.inline:
            await call.finish()
    return value
