"""
FastAPI and Starlette: flags as dependencies, the client's life tied to the application's.

    app = FastAPI(lifespan=lifespan(flags))
    app.add_middleware(FlagsMiddleware, flags=flags, context=...)      # from progflags.asgi

    @app.get("/search")
    async def search(vectors: Annotated[bool, Depends(flag("new-search"))]): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar, overload

from progflags.context import scope
from progflags.errors import MissingExtraError
from progflags.flags import Client, Flag, given, set_default

try:
    from starlette.requests import HTTPConnection
except ImportError as error:
    raise MissingExtraError("fastapi", "fastapi") from error

__all__ = ["FlagDependency", "flag", "lifespan"]

T = TypeVar("T")


class FlagDependency(Generic[T]):
    """
    A dependency that returns a flag's value for the request; equal for the same flag and default.

    So `app.dependency_overrides[flag("new-search")] = lambda: True` replaces it in a test, wherever it is used. It is
    asynchronous and does no I/O: FastAPI calls it without a thread.
    """

    __slots__ = ("default", "flags", "key")

    def __init__(self, key: str, default: T, flags: Client | None) -> None:
        self.key = key
        self.default = default
        self.flags = flags

    async def __call__(self, connection: HTTPConnection) -> T:
        here = scope()
        bound = None if here is None else here.extras.get("client")
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
    """
    if isinstance(key, Flag):
        return FlagDependency(key.key, key.default, flags)
    return FlagDependency(key, default, flags)


def lifespan(
    flags: Client | Callable[[], Client], inner: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
    """
    A lifespan for `FastAPI(lifespan=...)`: the client is `app.state.progflags` and `pf.default()` while the app runs.

    It is closed when the app stops. Given a function (`lambda: pf.connect(…)`), the client is made when the app starts, in
    the worker that serves. `inner` is another lifespan to run inside; what it yields is handed on.
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
