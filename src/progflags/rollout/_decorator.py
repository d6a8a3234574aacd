"""
@progressive: the share gets the candidate, the rest the control, and both are timed and counted.

What is counted is the call, on the arm it was served. It is evaluated in a scope of its own, so that a request that is
counted as a whole by a middleware is not counted a second time for this flag. Overridden, killed and braked calls are
served without being counted: they are no sample of either arm.

Plain functions and not wrapt's, as a dark launch's are: those add 1 µs to a call that takes 7, and what they give beyond it (the
object a method is bound to, apart from the arguments) is not needed here, where both arms get the same arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from time import perf_counter
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, cast

from progflags._names import must_be_named
from progflags._printed import quoted
from progflags._process import look
from progflags._trouble import swallow
from progflags.context import Context, Scope, _current, as_context, scope
from progflags.events import Called, Exposure
from progflags.flags import Client, NoDefaultError, default

__all__ = ["progressive"]

P = ParamSpec("P")
R = TypeVar("R")


def progressive(
    flag: str, *, candidate: Callable[P, R], flags: Client | None = None, key: Callable[P, object] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """
    Serve `candidate` instead of the decorated function to the share of callers that `flag` says.

    Who is asking: `key(*args, **kwargs)` (a context, a targeting key or a mapping), else the bound context, else nobody, and
    then the control runs. Works on functions, coroutine functions and methods; the candidate gets the same arguments.
    A raised Exception counts as an error of its arm and goes on to the caller; a cancellation counts as nothing.

    Without `flags`, the default client at the time of the call; without one, the control runs.

        @pf.progressive("new-checkout", candidate=checkout_v2, flags=flags)
        def checkout(cart): ...         # the candidate for those inside the share

        flags.rollouts.start("new-checkout")

    Raises:
        TypeError: a generator is decorated or is the candidate (its work happens after the call), `key` is a coroutine
            function, or a coroutine candidate stands behind a plain function.
        ValueError: no flag can be called `flag`.
    """
    must_be_named(flag, "a flag")

    def decorate(control: Callable[P, R]) -> Callable[P, R]:
        if isinstance(control, (staticmethod, classmethod)):
            kind = type(control)
            return cast("Callable[P, R]", kind(_decorate(control.__func__, _plain(candidate), flag, flags, key)))
        return cast("Callable[P, R]", _decorate(control, _plain(candidate), flag, flags, key))

    return decorate


def _plain(function: Any) -> Any:
    return function.__func__ if isinstance(function, (staticmethod, classmethod)) else function


def _decorate(
    control: Callable[..., Any], candidate: Callable[..., Any], flag: str, flags: Client | None, key: Callable[..., object] | None
) -> Any:
    _refuse(control, candidate, key)
    if inspect.iscoroutinefunction(control):

        @wraps(control)
        async def routed_async(*args: Any, **kwargs: Any) -> Any:
            client = flags if flags is not None else _default()
            taken, exposure, unit = _route(client, flag, key, args, kwargs)
            function = candidate if taken else control
            if exposure is None:
                return await _awaited(function(*args, **kwargs))
            began = perf_counter()
            try:
                answer = await _awaited(function(*args, **kwargs))
            except Exception:
                _tell(client, Called(exposure, perf_counter() - began, True, unit))
                raise
            _tell(client, Called(exposure, perf_counter() - began, False, unit))
            return answer

        return routed_async

    @wraps(control)
    def routed(*args: Any, **kwargs: Any) -> Any:
        client = flags if flags is not None else _default()
        taken, exposure, unit = _route(client, flag, key, args, kwargs)
        function = candidate if taken else control
        if exposure is None:
            return function(*args, **kwargs)
        began = perf_counter()
        try:
            answer = function(*args, **kwargs)
        except Exception:
            _tell(client, Called(exposure, perf_counter() - began, True, unit))
            raise
        if type(answer) is CoroutineType:
            return _later(client, exposure, began, unit, answer)
        _tell(client, Called(exposure, perf_counter() - began, False, unit))
        return answer

    return routed


async def _later(client: Client | None, exposure: Exposure, began: float, unit: bytes | None, work: Coroutine[Any, Any, Any]) -> Any:
    """
    The work a plain function handed back as a coroutine, counted when it is done.

    Many a decorator makes a plain function of an `async def`. Taken for what it looks like, no call would ever fail, and the
    worst candidate would climb to everybody.
    """
    try:
        answer = await work
    except Exception:
        _tell(client, Called(exposure, perf_counter() - began, True, unit))
        raise
    _tell(client, Called(exposure, perf_counter() - began, False, unit))
    return answer


def _refuse(control: Any, candidate: Any, key: Any) -> None:
    """Raises TypeError for what could only be found out in a call, or never."""
    if not callable(candidate):
        raise TypeError(f"a candidate is a function, not {quoted(candidate)}")
    for function in (control, candidate):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{quoted(function)} is a generator: its work happens after the call; decorate what consumes it")
    if inspect.iscoroutinefunction(key):
        raise TypeError(f"key is asked in the call, so it cannot be a coroutine function: {quoted(key)}")
    if not inspect.iscoroutinefunction(control) and inspect.iscoroutinefunction(candidate):
        raise TypeError(f"{quoted(control)} is a plain function, so its candidate cannot be a coroutine function")


def _default() -> Client | None:
    try:
        return default()
    except NoDefaultError:
        return None


async def _awaited(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


def _tell(client: Client | None, called: Called) -> None:
    if client is not None:
        client.bus.tell(called)


def _route(
    client: Client | None, flag: str, key: Callable[..., object] | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bool, Exposure | None, bytes | None]:
    """Whether this call is the candidate's, what to count it under (None: not at all), and whose it is."""
    look()
    outer = scope()
    context: Context | None = None
    if client is None:
        return False, None, None
    try:
        context = as_context(key(*args, **kwargs)) if key is not None else outer.context if outer is not None else None
    except Exception as error:  # the caller's function must run, whatever its key does
        swallow(f"key of progressive {flag}", error)
    if context is None:
        return False, None, None
    # By hand what `bind(context, fresh=True)` does: a generator context manager would be a third of the whole cost here.
    inner = Scope(context)
    if outer is not None:
        inner.share(outer)  # a request that sees one snapshot sees it here too
    token = _current.set(inner)
    try:
        evaluation = client.evaluate(flag, None, context)
    finally:
        _current.reset(token)
    exposure = inner.exposures.get(flag)
    if exposure is not None:
        candidate = _is_candidate(client, flag, exposure.variant) if exposure.edited else exposure.arm == "candidate"
        return candidate, exposure, inner.units.get(flag, context._kb)
    return _is_candidate(client, flag, evaluation.variant), None, None


def _is_candidate(client: Client, flag: str, variant: str | None) -> bool:
    """Without an exposure (an override, a kill, a brake, a flag without a rollout), or while two definitions are compared: the variant."""
    snapshot = client.definitions
    model = None if snapshot is None else snapshot.flags.get(flag)
    if model is None or variant is None:
        return False
    return variant == model.candidate if model.candidate is not None else variant != model.default
