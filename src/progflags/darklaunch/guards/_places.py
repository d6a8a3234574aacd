"""
Functions of other people's, replaced where they are defined: `"package.module:function"`, `"package.module:Class.method"`.

Once per process, place and guard. The replacement asks a context variable and passes on, so outside of a shadow it costs one look.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from progflags._process import Lock
from progflags._trouble import swallow

__all__ = ["checked", "replace"]

_lock = Lock()
_done: set[tuple[str, str]] = set()
_absent: set[str] = set()


def replace(place: str, guard: str, wrap: Callable[[Any], Any], *, optional: bool = False) -> None:
    """
    Put `wrap(original)` where `place` says, and wherever the original was imported to; for each `guard` once.

    `optional`: leave out what is not installed.

    Raises:
        ImportError, AttributeError: there is no such place, and it is not optional.
    """
    if (guard, place) in _done or (optional and place in _absent):
        return
    # Before the lock: an import under one waits for another import, which may be waiting for the lock.
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    try:
        owner: Any = import_module(module)
        for step in owners:
            owner = getattr(owner, step)
        getattr(owner, name)
    except (ImportError, AttributeError):
        if not optional:
            raise
        _absent.add(place)
        return
    except Exception as error:
        if not optional:
            raise
        _absent.add(place)
        swallow(f"guard {place}", error)  # installed, and broken here (RQ on Windows)
        return
    with _lock:
        if (guard, place) not in _done:
            _put(owner, name, wrap)
            _done.add((guard, place))


def _put(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    raw = inspect.getattr_static(owner, name) if inspect.isclass(owner) else None
    if isinstance(raw, (staticmethod, classmethod)):
        # What it was it stays: a plain function in its place would be given the instance.
        setattr(owner, name, type(raw)(wrap(raw.__func__)))
        return
    original = getattr(owner, name)
    wrapped = wrap(original)
    setattr(owner, name, wrapped)
    if isinstance(owner, ModuleType):
        _everywhere(original, wrapped)


def _everywhere(original: Any, wrapped: Any) -> None:
    """`from shop import charge` was executed before: those modules' name is another one for the same function."""
    for module in tuple(sys.modules.values()):
        if isinstance(module, ModuleType):
            for name, value in tuple(vars(module).items()):
                if value is original:
                    setattr(module, name, wrapped)


def checked(original: Any, check: Callable[..., object]) -> Any:
    """`original`, after `check` has had its say."""
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def later(*args: Any, **kwargs: Any) -> Any:
            check(*args, **kwargs)
            return await original(*args, **kwargs)

        return later

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return original(*args, **kwargs)

    return function
