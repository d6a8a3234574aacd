"""What can be said about a dark launch, checked when it is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypedDict

from progflags._printed import quoted
from progflags.darklaunch.compare import Rule
from progflags.flags import Client, suggest

__all__ = ["EXECUTORS", "DoorOptions", "Executor", "Options", "check"]

Executor = Literal["auto", "thread", "task", "inline", "process"]
EXECUTORS = ("auto", "thread", "task", "inline", "process")


class Options(TypedDict, total=False):
    """
    Keyword arguments of `dark_launch` and of the middleware.

    - `flags`: the client; otherwise the default one, looked up at each call.
    - `key(*args, **kwargs)`: whose evaluation decides: a targeting key, Context or mapping; otherwise the bound context's.
    - `sample`: a further share 0…1 of the units the flag lets through. `run_if(*args, **kwargs)`: and only such calls.
    - `rules`: what may differ. `compare(control, candidate) -> bool` instead of the diff; `compare_errors` for two
      exceptions; `ignore_if(control, candidate)`: a difference that does not matter; `strict_types=False`: 1 equals 1.0.
    - `score(control, candidate) -> float`: how close two answers are, beside whether they are equal; see pf.score.
    - `deadline`: seconds the candidate may take. `executor`: where it runs; "auto" is a task for coroutines, a thread for the rest.
    - `stop_runaways=True`: a candidate in a thread that has not come back after its deadline is ended where it is, by an exception
      raised in it. It may hold a lock of the application's by then, or be in the middle of changing what both sides share.
    - `isolate`: how arguments and result are copied: "auto", "share" (not at all), or a function; `share`: classes handed
      over as they are; `reduce(value)`: what of a result is compared, computed on both sides.
    - `guards`: what a shadow may not do, see progflags.darklaunch.guards.
    - `aa_rate`: share of shadows in which the control is run again to learn what differs anyway; `learn`: "propose" or "apply".
    - `reveal`: paths whose values may be kept in samples; `redact`: further names whose values never are.
    - `record`: a path for a JSON Lines file, or a function of one record; `capture=True` also records the arguments, for replay.
    - `raise_on_mismatch`: for tests: the caller gets an exception instead of an answer that the candidate disagrees with.

        options: Options = {"flags": flags, "sample": 0.1, "rules": [pf.ignore("$.served_at")]}

        @pf.dark_launch("pricing-v2", candidate=price_v2, **options)
        def price(cart): ...
    """

    flags: Client | None
    key: Callable[..., Any] | None
    sample: float
    run_if: Callable[..., Any] | None
    rules: Iterable[Rule]
    compare: Callable[[Any, Any], bool] | None
    compare_errors: Callable[[BaseException, BaseException], bool] | None
    ignore_if: Callable[[Any, Any], bool] | None
    strict_types: bool
    score: Callable[[Any, Any], float] | None
    deadline: float
    stop_runaways: bool
    executor: Executor
    isolate: str | Callable[[Any], Any]
    share: Iterable[type]
    reduce: Callable[[Any], Any] | None
    guards: Iterable[Callable[..., Any]]
    aa_rate: float
    learn: Literal["propose", "apply"]
    reveal: Iterable[str]
    redact: Iterable[str]
    record: str | os.PathLike[str] | Callable[[dict[str, Any]], object] | None
    capture: bool
    max_inflight: int
    raise_on_mismatch: bool


class DoorOptions(Options, total=False):
    """
    Keyword arguments of the middleware, beside Options. `compare`, `ignore_if` and `reduce` get a response as
    `{"status": …, "headers": {…}, "body": …}`, the body decoded where it is JSON or text.

    - `methods`: those that are shadowed, by default the ones without effects (GET, HEAD, OPTIONS).
    - `max_body`: bytes of a request's body, or a response's, beyond which it flows through and is not compared.
    - `headers`: names of response headers that are compared beside content-type, location and cache-control.
    - `trust_marker`: leave the shadow marker on inbound requests. It is stripped otherwise: whoever may send it can switch off
      the writes of code that heeds it.
    - `forward`: names of request headers (credentials among them) a remote candidate may get beside the harmless ones.

        from progflags.asgi import DarkLaunchMiddleware

        other = pf.force("new-search", "on")
        options: DoorOptions = {"flags": flags, "max_body": 9_999, "rules": [pf.ignore("$.body.id")]}
        app.add_middleware(DarkLaunchMiddleware, flag="pricing-v2", candidate=other, **options)
    """

    methods: Iterable[str]
    max_body: int
    headers: Iterable[str]
    trust_marker: bool
    forward: Iterable[str]


def check(options: Options) -> None:
    """
    Whether these options can be right together.

    Raises:
        TypeError: one is unknown, or no function where a function is asked for. ValueError: a value that can't be.
    """
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"a dark launch has no option {quoted(name)}. {suggest(name, Options.__annotations__)}".rstrip())
    executor = options.get("executor", "auto")
    if executor not in EXECUTORS:
        raise ValueError(f"executor is one of {', '.join(EXECUTORS)}, not {quoted(executor)}")
    raises = options.get("raise_on_mismatch", False)
    if raises and executor not in {"auto", "inline"}:
        raise ValueError("raise_on_mismatch needs executor='inline': a caller that has its answer can't get an exception")
    if options.get("stop_runaways") and executor not in {"auto", "thread"}:
        raise ValueError(f"stop_runaways is for candidates in threads (executor 'auto' or 'thread'), not for executor={quoted(executor)}")
    for name in ("key", "run_if", "compare", "compare_errors", "ignore_if", "reduce", "score"):
        if not (options.get(name) is None or callable(options.get(name))):
            raise TypeError(f"{name} is a function, not {quoted(options.get(name))}")
