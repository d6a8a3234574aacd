"""@dark_launch: the control in the caller's own thread or task, the candidate in its shadow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from operator import attrgetter
from pickle import PicklingError
from typing import Any, Literal, Unpack, cast

import wrapt

from progflags._printed import quoted
from progflags.darklaunch._answered import answered, awaited
from progflags.darklaunch._bind import Candidate, bound, kind_of
from progflags.darklaunch._call import Call
from progflags.darklaunch._experiment import Experiment
from progflags.darklaunch._options import Options
from progflags.darklaunch._several import CONTROL, Calls, Several
from progflags.darklaunch._stream import async_stream, stream
from progflags.darklaunch._typed import Shadowing
from progflags.darklaunch.lanes import Here, Later
from progflags.flags import Forced

__all__ = ["DarkLaunched", "dark_launch"]


class _Bound(wrapt.BoundFunctionWrapper):  # type: ignore[misc,type-arg,unused-ignore]
    """A decorated method looked up on its object."""

    @property
    def dark_launch(self) -> Experiment:
        return self._self_parent.dark_launch  # type: ignore[no-any-return,unused-ignore]

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner = self._owner
        return _named(self.__wrapped__, _looked_up) if owner is None else (getattr, (owner, self.__wrapped__.__name__))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        owner = self._owner
        return self if owner is None else getattr(deepcopy(owner, memo), self.__wrapped__.__name__)

    @property
    def _owner(self) -> Any:
        """The object or, of a class method, the class it is bound to; None: it is the plain function, looked up on its class."""
        return getattr(self.__wrapped__, "__self__", None)


class DarkLaunched(wrapt.FunctionWrapper):  # type: ignore[misc,type-arg,unused-ignore]
    """
    A decorated function: looks, binds and pickles like the one it wraps. `dark_launch` is its experiment.

    It pickles by name, as functions do, and is its own copy: process pools, task queues and deepcopy of what holds it work.
    """

    __bound_function_wrapper__ = _Bound

    def __init__(self, wrapped: Any, wrapper: Any, experiment: Experiment, candidate: Chosen) -> None:
        super().__init__(wrapped, wrapper)
        self._self_experiment = experiment
        self._self_candidate = candidate

    @property
    def dark_launch(self) -> Experiment:
        return self._self_experiment

    @property
    def candidate(self) -> Chosen:
        return self._self_candidate

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _named(self.__wrapped__, _found)

    def __reduce__(self) -> Any:
        return _named(self.__wrapped__, _found)

    def __copy__(self) -> DarkLaunched:
        return self

    def __deepcopy__(self, memo: Any) -> DarkLaunched:
        return self


def _named(function: Any, find: Callable[[str, str], Any]) -> Any:
    if "<locals>" in function.__qualname__:
        raise PicklingError(f"{function.__qualname__} is local to a function: nobody could find it again by name")
    return find, (function.__module__, function.__qualname__)


def _looked_up(module: str, qualname: str) -> Any:
    """As an attribute: a method's plain function, as its class gives it out."""
    from importlib import import_module

    return attrgetter(qualname)(import_module(module))


def _found(module: str, qualname: str) -> Any:
    """The decorated function itself, as its class holds it."""
    from importlib import import_module

    value: Any = import_module(module)
    for name in qualname.split("."):
        value = inspect.getattr_static(value, name) if inspect.isclass(value) else getattr(value, name)
    return value


def dark_launch(
    flag: str,
    *,
    candidate: Candidate | None = None,
    candidates: Mapping[str, Candidate] | None = None,
    per_call: Literal["one", "all"] = "one",
    **options: Unpack[Options],
) -> Shadowing:
    """
    Run `candidate` beside the decorated function for the calls `flag` lets through, and compare the two.

    Callers always get the decorated function's own answer: the very object, exception or cancellation, from their own
    thread or task. What the candidate says is compared and thrown away; what it does should be nothing (see
    `pf.shadow.active()` and guards). The decorated function's experiment is its attribute `dark_launch`.

    `candidate`: a callable with the same arguments; the name of a method; or `pf.force(flag, variant)`, the same function
    with a flag at another variant. For methods the candidate belongs to the same object, which both share. `candidates`
    instead: several of them by name; a call runs one of them, drawn evenly, or with `per_call="all"` every one. See Options
    for the rest.

        @pf.dark_launch("pricing-v2", candidate=price_v2, flags=flags)
        def price(cart): ...            # callers always get this answer

        print(price.dark_launch.verdict(max_mismatch=0.01))

    Raises:
        ValueError: an option can't be right. TypeError: a candidate is none of those, or there is none, or both were given.
    """
    named = _named_candidates(candidate, candidates, per_call)
    single = candidates is None
    experiment = Experiment(flag, **options) if single else Several(flag, tuple(named), every=per_call == "all", **options)
    parts = experiment.of if isinstance(experiment, Several) else {"": experiment}
    chosen: Chosen = named[""] if single else named

    def decorate(function: Any) -> Any:
        kind = kind_of(function)
        if per_call == "all" and kind.endswith("generator"):
            raise ValueError("a generator is drawn from once: per_call='all' is for functions and coroutines")
        experiment.name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
        for name, part in parts.items():
            part.name = experiment.name
            _place(part, kind, named[name])
        wrapper = _WRAPPERS[kind](experiment, chosen)
        return DarkLaunched(function, wrapper, experiment, chosen)

    return cast("Shadowing", decorate)


def _named_candidates(candidate: Candidate | None, candidates: Mapping[str, Candidate] | None, per_call: str) -> dict[str, Candidate]:
    if (candidate is None) == (not candidates):
        raise TypeError("a dark launch has one candidate=, or several by name in candidates={...}")
    if per_call not in {"one", "all"}:
        raise ValueError(f'per_call is "one" or "all", not {quoted(per_call)}')
    named = {"": candidate} if candidate is not None else dict(candidates or {})
    if candidate is None and (CONTROL in named or not all(isinstance(name, str) and name for name in named)):
        raise ValueError(f"candidates have names of their own, and none is {quoted(CONTROL)}: {', '.join(map(repr, named))}")
    for each in named.values():
        if not (callable(each) or isinstance(each, (str, Forced, classmethod, staticmethod))):
            raise TypeError(f"the candidate is a callable, a method's name or pf.force(…), not {quoted(each)}")
    return named


def _place(experiment: Experiment, kind: str, candidate: Candidate) -> None:
    """Choose the lane: coroutines go to a loop, the caller's if it has one; the rest to a thread."""
    awaits = kind in {"coroutine", "async generator"}
    candidate_awaits = awaits if isinstance(candidate, (str, Forced)) else kind_of(candidate) in {"coroutine", "async generator"}
    engine = experiment.engine
    if experiment.inline:
        experiment.lane = Later() if awaits else Here()
    elif experiment.executor == "process":
        from progflags.darklaunch.lanes import check_guards, in_process

        check_guards(experiment.guards)
        experiment.lane, experiment.runner = engine.workers, partial(in_process, guards=experiment.guards)
    elif not candidate_awaits:
        experiment.lane = engine.workers
    elif awaits and experiment.executor != "thread":
        experiment.lane = engine.tasks
    else:
        experiment.lane = engine.background


#: One candidate, or several by name.
Chosen = Candidate | Mapping[str, Candidate]
Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


#: Takes in wrapt's four (control, instance, args, kwargs): the call, as its caller's side knows it; None: left out.
Admit = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


def _admitting(experiment: Experiment, candidate: Chosen) -> Admit:
    """Calls of one candidate, or of each of several that are drawn."""

    def client() -> Any:
        return experiment.gate.client

    def one(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        assert not isinstance(candidate, Mapping)
        return experiment.admit(partial(bound, candidate, control, instance, client), args, kwargs, control)

    def several(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert isinstance(candidate, Mapping)
        assert isinstance(experiment, Several)
        calls = {}
        for name, each in experiment.drawn():
            call = each.admit(partial(bound, candidate[name], control, instance, client), args, kwargs, control)
            if call is not None:
                calls[name] = call
        if not experiment.every:
            return next(iter(calls.values()), None)
        return Calls(experiment, calls) if calls else None

    return several if isinstance(candidate, Mapping) else one


def _function(experiment: Experiment, candidate: Chosen) -> Wrapper:
    passes, admit = experiment.gate.passes, _admitting(experiment, candidate)

    def call_function(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not passes(args, kwargs):
            return control(*args, **kwargs)
        return answered(experiment, admit(control, instance, args, kwargs), control, args, kwargs)

    return call_function


def _coroutine(experiment: Experiment, candidate: Chosen) -> Wrapper:
    passes, admit = experiment.gate.passes, _admitting(experiment, candidate)

    async def shadowed(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return await awaited(experiment, admit(control, instance, args, kwargs), control, args, kwargs)

    def call_coroutine(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return (shadowed(control, instance, args, kwargs)) if passes(args, kwargs) else control(*args, **kwargs)

    return call_coroutine


def _generator(through: Callable[[Any, Callable[[], Any]], Any], experiment: Experiment, candidate: Chosen) -> Wrapper:
    """`through` passes the items on: `stream` or `async_stream`."""
    passes, admit = experiment.gate.passes, _admitting(experiment, candidate)

    def call_generator(control: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = control(*args, **kwargs)
        if not passes(args, kwargs):
            return made
        return through(made, partial(admit, control, instance, args, kwargs))

    return call_generator


_WRAPPERS: dict[str, Callable[[Experiment, Chosen], Wrapper]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": partial(_generator, stream),
    "async generator": partial(_generator, async_stream),
}
