"""The candidate application's own lifespan, beside the control's."""

from __future__ import annotations

import asyncio
from typing import Any

from progflags._trouble import swallow
from progflags.asgi._replay import ASGIApp, Message, Scope

__all__ = ["Lifespan"]


class Lifespan:
    """Run in a task of its own. Applications without one are ready as they are."""

    def __init__(self, app: ASGIApp | None, scope: Scope) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._scope = {**scope, "state": self.state}
        self._inbox: asyncio.Queue[Message] | None = None
        self._outbox: asyncio.Queue[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> bool:
        if self._app is None:
            return True
        self._inbox, self._outbox = asyncio.Queue(), asyncio.Queue()
        self._task = asyncio.create_task(self._run(self._app), name="progflags-shadow-lifespan")
        await self._inbox.put({"type": "lifespan.startup"})
        return await self._said(30.0) != "lifespan.startup.failed"

    async def stop(self) -> None:
        if self._task is None or self._task.done() or self._inbox is None:
            return
        await self._inbox.put({"type": "lifespan.shutdown"})
        await self._said(2.0)
        self._task.cancel()

    async def _said(self, seconds: float) -> str:
        assert self._outbox is not None
        try:
            return await asyncio.wait_for(self._outbox.get(), seconds)
        except TimeoutError:
            return "lifespan.startup.failed"

    async def _run(self, app: ASGIApp) -> None:
        assert self._inbox is not None
        assert self._outbox is not None
        outbox = self._outbox

        async def send(message: Message) -> None:
            await outbox.put(message["type"])

        try:
            await app(self._scope, self._inbox.get, send)
        except Exception:  # it has no lifespan: that is how applications say so
            await outbox.put("none")
        except SystemExit as error:  # what stops a candidate that lacks its settings must not stop this server
            swallow("dark launch lifespan", error)
            await outbox.put("lifespan.startup.failed")
        await outbox.put("none")
