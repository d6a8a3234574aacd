"""What a type checker sees of a decorated function: its own signature, and its experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from progflags.darklaunch._experiment import Experiment

__all__ = ["Shadowed", "Shadowing"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Shadowed(Protocol[P, R_co]):
    """A decorated function: called like the one it wraps, bound like a method, and `dark_launch` is its experiment."""

    @property
    def dark_launch(self) -> Experiment: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self: Shadowed[Concatenate[S, Q], R], instance: S, owner: type[S]) -> Shadowed[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Self: ...


class Shadowing(Protocol):
    """
    The decorator. A class method stays what it is: to a checker `dark_launch` is an attribute of the others.

    (Given `__get__`, mypy and pyright no longer bind the class to what `@classmethod` stands above.)
    """

    @overload  # which of the two is meant shows in the first parameter
    def __call__(self, function: Callable[Concatenate[type[S], Q], R], /) -> Callable[Concatenate[type[S], Q], R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, function: Callable[P, R], /) -> Shadowed[P, R]: ...
