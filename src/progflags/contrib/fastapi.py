"""
FastAPI and Starlette: flags as dependencies, the client's life tied to the application's.

    app = FastAPI(lifespan=lifespan(flags))
    app.add_middleware(FlagsMiddleware, flags=flags, context=...)      # from progflags.asgi

    @app.get("/search")
    async def search(vectors: Annotated[bool, Depends(flag("new-search"))]): ...

Where only a dependency knows the user: `FastAPI(dependencies=[Depends(identify(of_user))])`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar, overload

from progflags._identity import ask_with
from progflags._trouble import swallow
from progflags.context import as_context, bind, scope
from progflags.contrib._let_in import let_in
from progflags.errors import missing
from progflags.flags import Client, Flag, given, set_default

try:
    from starlette.requests import HTTPConnection
except ImportError as error:
    raise missing(error, "starlette", "fastapi", "fastapi") from error

__all__ = ["FlagDependency", "Identified", "flag", "identify", "let_in", "lifespan"]

T = TypeVar("T")


class FlagDependency(Generic[T]):
    """
    A dependency that returns a flag's value for the request; equal for the same flag and default.

    So `app.dependency_overrides[flag("new-search")] = lambda: True` replaces it in a test, wherever it is used. It is
    asynchronous and does no I/O: FastAPI calls it without a thread.

        def test_vectors(client):
            app.dependency_overrides[flag("new-search")] = lambda: True
            assert client.get("/search").json() == {"by": "vectors"}
    """

    __slots__ = ("default", "flags", "key")

    def __init__(self, key: str, default: T, flags: Client | None) -> None:
        self.key = key
        self.default = default
        self.flags = flags

    async def __call__(self, connection: HTTPConnection) -> T:
        here = scope()
        bound = None if here is None else here.client
        client = given(self.flags or bound or getattr(connection.app.state, "progflags", None))
        value: T = self.default if client is None else client.get(self.key, self.default)
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlagDependency):
            return NotImplemented
        # 0 == False == 0.0: FastAPI asks one of two equal dependencies and gives both its value, so the type is part of it.
        same = self.key == other.key and type(self.default) is type(other.default) and self.flags is other.flags
        return same and bool(self.default == other.default)

    def __hash__(self) -> int:
        return hash(self.key)

    # Not as text: FastAPI looks up the names of a function's annotations, and this is no function.
    __call__.__annotations__["connection"] = HTTPConnection

    def __repr__(self) -> str:
        return f"flag({self.key!r}, {self.default!r})"


@overload
def flag(key: str, default: bool = False, *, flags: Client | None = None) -> FlagDependency[bool]: ...
@overload
def flag(key: str, default: T, *, flags: Client | None = None) -> FlagDependency[T]: ...
@overload
def flag(key: Flag[T], *, flags: Client | None = None) -> FlagDependency[T]: ...
def flag(key: str | Flag[Any], default: Any = False, *, flags: Client | None = None) -> FlagDependency[Any]:
    """
    A dependency that returns the flag's value, typed as `default`: `Annotated[bool, Depends(flag("new-search"))]`.

    A typed `pf.Flag` brings its own default. The context is the one FlagsMiddleware bound; the client is `flags`, else
    the middleware's, else the one `lifespan` put into `app.state.progflags`, else `pf.default()`. Without any of these: the default.

        @app.get("/search")
        async def search(new: Annotated[bool, Depends(flag("new-search"))]): ...
    """
    if isinstance(key, Flag):
        return FlagDependency(key.key, key.default, flags)
    return FlagDependency(key, default, flags)


class Identified:
    """
    A dependency that binds who is asking; see `identify`. Equal for the same `who`, so that it can be overridden.

        ann = pf.Context("user-42", {"plan": "pro"})
        app.dependency_overrides[identify(of_user)] = identify(lambda: ann)     # in a test
    """

    __slots__ = ("__signature__", "who")

    def __init__(self, who: Callable[..., Any]) -> None:
        try:
            from fastapi import Depends  # pyright: ignore[reportAttributeAccessIssue] # it takes this very file for the package
        except ImportError as error:  # Starlette alone has no dependencies
            raise missing(error, "fastapi", "fastapi", "fastapi") from error
        self.who = who
        answer = inspect.Parameter("answer", inspect.Parameter.KEYWORD_ONLY, default=Depends(who))
        self.__signature__ = inspect.Signature([answer])

    async def __call__(self, *, answer: Any) -> AsyncIterator[None]:
        try:
            context = as_context(answer)
        except Exception as error:
            swallow("FastAPI identify", error)
            context = None
        here = scope()
        if here is not None:
            if context is not None:
                ask_with(here, lambda _: context, "FastAPI identify")
            yield
            return
        with bind(context):  # no FlagsMiddleware: nothing is counted, but flags are asked for the right user
            yield

    def __eq__(self, other: object) -> bool:
        return self.who == other.who if isinstance(other, Identified) else NotImplemented

    def __hash__(self) -> int:
        return hash((Identified, self.who))

    def __repr__(self) -> str:
        return f"identify({self.who!r})"


def identify(who: Callable[..., Any]) -> Identified:
    """
    A dependency that makes what `who` answers the context of the rest of the request.

    `who` is a dependency itself, `def` or `async def`: it takes what it needs (the user another dependency found, the session, a
    token) and answers what every evaluation takes: a Context, a targeting key, a mapping; None leaves things as they are.
    Flags asked for after it, in `def` and `async def` dependencies and endpoints alike, are asked for that user; dependencies
    run in the order they are declared, those of the application and the router first. A key is not required: with
    FlagsMiddleware's `anonymous` a visitor without one keeps the sticky id.

        def of_user(user: Annotated[User, Depends(current_user)]) -> pf.Context:
            return pf.Context(user.id, {"plan": user.plan})

        app = FastAPI(dependencies=[Depends(identify(of_user))])
    """
    return Identified(who)


def lifespan(
    flags: Client | Callable[[], Client], inner: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
    """
    A lifespan for `FastAPI(lifespan=...)`: the client is `app.state.progflags` and `pf.default()` while the app runs.

    It is closed when the app stops. Given a function (`lambda: pf.connect(…)`), the client is made when the app starts, in
    the worker that serves. `inner` is another lifespan to run inside; what it yields is handed on.

        app = FastAPI(lifespan=lifespan(lambda: pf.connect("flags.toml")))
    """

    @asynccontextmanager
    async def living(app: Any) -> AsyncIterator[Any]:
        client = flags if isinstance(flags, Client) else await asyncio.to_thread(flags)
        before = given(None)
        app.state.progflags = client
        set_default(client)
        try:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            if given(None) is client:
                set_default(before)
            await asyncio.to_thread(client.close)  # type: ignore[attr-defined] # a connected client has it

    return living
