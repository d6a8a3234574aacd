"""
SQLAlchemy in a dark launch: the candidate works in a session of its own, which can only read, and rows are compared as plain data.

`@pf.dark_launch("orders-v2", **own_session(orders_v2, Session))`, with the sessionmaker the application has.
"""

from __future__ import annotations

import functools
import inspect as inspection
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict

from progflags._printed import quoted
from progflags.contrib._rows import plain
from progflags.darklaunch.guards import Guard, sqlalchemy_readonly
from progflags.errors import missing

try:
    from sqlalchemy import Row
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session
    from sqlalchemy.inspection import inspect as inspected
    from sqlalchemy.orm import InstanceState, Session, scoped_session
except ImportError as error:
    raise missing(error, "sqlalchemy", "SQLAlchemy", "sqlalchemy") from error

__all__ = ["OwnSession", "own_session", "rows", "rows_with"]

_SESSIONS: Final = (Session, AsyncSession, scoped_session, async_scoped_session)


class OwnSession(TypedDict):
    """
    The options that `own_session` gives a dark launch.

        options = own_session(orders_v2, sessions)
        options["reduce"] = len                                 # compare how many there are, no more

        @pf.dark_launch("orders-v2", flags=flags, **options)
        def orders(session, user_id): ...
    """

    candidate: Callable[..., Any]
    share: tuple[type, ...]
    guards: tuple[Guard, ...]
    reduce: Callable[[Any], Any]


def own_session(candidate: Callable[..., Any], sessions: Callable[..., Any], *, related: tuple[str, ...] = ()) -> OwnSession:
    """
    Options for `dark_launch`: `candidate` gets a fresh session from `sessions`, closed when it has answered.

    Wherever the call has a session among its arguments the candidate gets its own instead; where it has none, as `session=`,
    if the candidate has such a parameter. What the candidate would write is refused before the database sees it
    (`guard_blocked`), and nothing is committed. Both answers are compared as `rows` (with `related`, as `rows_with`).
    `sessions` is the application's `sessionmaker` or `async_sessionmaker`, bound to engines.

        from sqlalchemy import select
        from sqlalchemy.orm import sessionmaker

        sessions = sessionmaker(engine)
        apart = own_session(orders_v2, sessions, related=("lines",))

        @pf.dark_launch("orders-v2", flags=flags, **apart)
        def orders(session, user_id):
            return session.scalars(select(Order).where(Order.user_id == user_id)).all()

    Raises:
        TypeError: the candidate is a generator: let it return a list.
        ValueError: `sessions` is bound to no engine.
    """
    if inspection.isgeneratorfunction(candidate) or inspection.isasyncgenfunction(candidate):
        raise TypeError(f"{quoted(candidate)} is a generator, and its session would be open for as long as it is read: return a list")
    guards = tuple(sqlalchemy_readonly(engine) for engine in _engines(sessions))
    run = _awaiting(candidate, sessions) if inspection.iscoroutinefunction(candidate) else _calling(candidate, sessions)
    return {"candidate": run, "share": _SESSIONS, "guards": guards, "reduce": rows_with(*related)}


def _engines(sessions: Callable[..., Any]) -> list[Any]:
    options: Mapping[str, Any] = getattr(sessions, "kw", {})
    bound = [each for each in (options.get("bind"), *(options.get("binds") or {}).values()) if each is not None]
    if not bound or not all(isinstance(each, (Engine, AsyncEngine)) for each in bound):
        raise ValueError("a session of the candidate's own needs a sessionmaker that is bound to an engine: sessionmaker(engine)")
    return bound


def _calling(candidate: Callable[..., Any], sessions: Callable[..., Any]) -> Callable[..., Any]:
    takes = _takes_session(candidate)

    @functools.wraps(candidate)
    def run(*args: Any, **kwargs: Any) -> Any:
        with sessions(expire_on_commit=False) as session:  # what it has read stays readable when it is closed
            given, named = _swapped(session, args, kwargs, takes)
            return candidate(*given, **named)

    return run


def _awaiting(candidate: Callable[..., Any], sessions: Callable[..., Any]) -> Callable[..., Any]:
    takes = _takes_session(candidate)

    @functools.wraps(candidate)
    async def run(*args: Any, **kwargs: Any) -> Any:
        async with sessions(expire_on_commit=False) as session:
            given, named = _swapped(session, args, kwargs, takes)
            return await candidate(*given, **named)

    return run


def _takes_session(candidate: Callable[..., Any]) -> bool:
    return "session" in inspection.signature(candidate).parameters


def _swapped(session: Any, args: tuple[Any, ...], kwargs: dict[str, Any], takes: bool) -> tuple[list[Any], dict[str, Any]]:
    given = [session if isinstance(each, _SESSIONS) else each for each in args]
    named = {name: session if isinstance(each, _SESSIONS) else each for name, each in kwargs.items()}
    if takes and not any(each is session for each in (*given, *named.values())):
        named["session"] = session
    return given, named


def rows(value: Any) -> Any:
    """
    Mapped objects and rows (`Row`) as dicts of their columns' values, in lists, tuples, sets and dicts of them; the rest as it is.

    Nothing is loaded for it: a column that is deferred or expired is left out, relationships always are (see `rows_with`).

        rows([Order(id=1, user_id=42)])                         # [{"id": 1, "user_id": 42}]
    """
    return plain(value, functools.partial(_opened, ()))


def rows_with(*related: str) -> Callable[[Any], Any]:
    """
    As `rows`, with the relationships of these names, on whatever object, where they are loaded already. A cycle ends.

        @pf.dark_launch("orders-v2", candidate=orders_v2, reduce=rows_with("lines"), flags=flags)
        def orders(session, user_id): ...
    """
    return functools.partial(plain, opened=functools.partial(_opened, related))


def _opened(related: tuple[str, ...], value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Row):
        return value._asdict()
    state = inspected(value, raiseerr=False)
    if not isinstance(state, InstanceState):
        return None
    names = [*state.mapper.column_attrs.keys(), *(name for name in related if name in state.mapper.relationships)]
    return {name: state.dict[name] for name in names if name in state.dict}
