"""Which function the candidate is, for this call: a callable, a method's name, or the control with a flag forced."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from progflags._printed import quoted
from progflags.flags import Client, Forced

__all__ = ["Candidate", "bound", "is_coroutine", "kind_of"]

Candidate = Callable[..., Any] | str | Forced


def bound(candidate: Candidate, control: Callable[..., Any], instance: Any, client: Callable[[], Client | None]) -> Callable[..., Any]:
    """
    The candidate as it is to be called with the control's arguments. `control` is bound already.

    A method belongs to the control's object: a function gets it as its first argument, a name is looked up on it at each
    call, so a subclass's own version is found. `self` is shared between the two, never copied.

    Raises:
        AttributeError: the object has no method of that name.
        LookupError: a flag is to be forced and there is no client.
    """
    if isinstance(candidate, Forced):
        return _forced(candidate, control, client())
    if isinstance(candidate, str):
        owner = getattr(control, "__self__", None) if instance is None else instance
        return getattr(owner, candidate)  # type: ignore[no-any-return]
    if instance is None:
        return candidate
    if inspect.isclass(instance):
        if isinstance(candidate, (classmethod, staticmethod)):
            return candidate.__get__(None, instance)
        return MethodType(candidate, instance) if inspect.isfunction(candidate) else candidate
    getter = getattr(type(candidate), "__get__", None)
    return candidate if getter is None else getter(candidate, instance, type(instance))


def _forced(candidate: Forced, control: Callable[..., Any], client: Client | None) -> Callable[..., Any]:
    if client is None:
        raise LookupError(f"no client to force {quoted(candidate.flag)} on")
    over = candidate.over

    def function(*args: Any, **kwargs: Any) -> Any:
        with over(client):
            return control(*args, **kwargs)

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        with over(client):
            return await control(*args, **kwargs)

    def generator(*args: Any, **kwargs: Any) -> Any:
        with over(client):
            return (yield from control(*args, **kwargs))

    async def async_generator(*args: Any, **kwargs: Any) -> Any:
        with over(client):
            async for item in control(*args, **kwargs):
                yield item

    return {"function": function, "coroutine": coroutine, "generator": generator, "async generator": async_generator}[kind_of(control)]


def is_coroutine(function: Any) -> bool:
    """Whether calling it gives a coroutine."""
    if isinstance(function, (classmethod, staticmethod)):
        function = function.__func__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004 - its kind is asked for


def kind_of(function: Any) -> str:
    """Coroutine | async generator | generator | function: which wrapper a control needs."""
    if isinstance(function, (classmethod, staticmethod)):
        function = function.__func__
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.isgeneratorfunction(function):
        return "generator"
    return "coroutine" if is_coroutine(function) else "function"
