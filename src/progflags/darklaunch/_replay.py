"""A recorded call once more, both sides, offline: does the candidate still disagree?"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextvars import copy_context
from importlib import import_module
from typing import Any

from progflags._printed import quoted
from progflags.context import current
from progflags.darklaunch._bind import bound
from progflags.darklaunch._decorator import DarkLaunched
from progflags.darklaunch.lanes import shadowed
from progflags.darklaunch.record import Conclusion, Observation, observe
from progflags.darklaunch.shadow import Shadow

__all__ = ["find", "replay"]


def find(name: str) -> DarkLaunched:
    """
    The decorated function a record names, `"package.module:function"`; its module is imported.

    Raises:
        LookupError: there is none, or it is a method, whose object a record does not hold.
    """
    module, _, path = name.partition(":")
    try:
        function: Any = import_module(module)
        for step in path.split("."):
            if inspect.isclass(function):
                raise LookupError(f"{name} is a method: its object was not recorded")
            function = getattr(function, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise LookupError(f"{name} can't be found: {error}") from error
    if not isinstance(function, DarkLaunched):
        raise LookupError(f"{name} is no dark launch")  # noqa: TRY004 - it was looked for, and is not there
    return function


def replay(function: DarkLaunched, args: list[Any], kwargs: dict[str, Any], name: str = "") -> Conclusion:
    """
    Run control and candidate with these arguments, each as a shadow with copies of its own, and conclude.

    `name`: which candidate, where there are several.

    Raises:
        LookupError: there are several, and none of that name.
    """
    experiment = function.dark_launch
    control = function.__wrapped__
    chosen = function.candidate
    if isinstance(chosen, Mapping):
        if name not in chosen:
            raise LookupError(f"{experiment.name} has no candidate {quoted(name)} any more: there are {', '.join(chosen)}")
        chosen = chosen[name]
    candidate = bound(chosen, control, None, lambda: experiment.gate.client)

    def side(run: Callable[..., Any]) -> Observation:
        given, _ = experiment.isolator.given(tuple(args), kwargs)
        own_args, own_kwargs = experiment.isolator.fresh(given, last=True)
        with shadowed(Shadow(experiment.flag, "replay"), experiment.guards, current()):
            return observe(lambda: _finished(run(*own_args, **own_kwargs)))

    return experiment.comparer.conclude(copy_context().run(side, control), copy_context().run(side, candidate))


def _finished(made: Any) -> Any:
    """The answer itself, where it is one that has to be asked for."""
    if inspect.isgenerator(made):
        return list(made)
    if inspect.isasyncgen(made):
        return asyncio.run(_items(made))
    if inspect.isawaitable(made):
        return asyncio.run(_awaited(made))
    return made


async def _items(made: Any) -> list[Any]:
    return [item async for item in made]


async def _awaited(made: Any) -> Any:
    return await made
