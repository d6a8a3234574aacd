"""
The candidate application's own lifespan, which nobody waits for.

It begins once the control has started, in a task of its own, and ends once the control has shut down. Until it has started
there are no shadows; where it fails there are none at all, and what it changed of the process on the way is put back.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from progflags._trouble import say, swallow
from progflags.asgi._replay import ASGIApp, Message, Scope
from progflags.asgi._surroundings import Surroundings

__all__ = ["Lifespan"]

_START: Final = 30.0  # seconds a start may take before it is given up
_STOP: Final = 2.0  # seconds its end may take: the server waits to exit


class Lifespan:
    """One run of `app`'s lifespan. Applications without one are ready as soon as they have said so."""

    def __init__(self, app: ASGIApp, scope: Scope, flag: str) -> None:
        self._app = app
        self._where = f"dark launch {flag}"
        self.state: dict[str, Any] = {}
        self._scope = {**scope, "state": self.state}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.ready = False
        self._begun = False

    def begin(self) -> None:
        """Start in the background; again does nothing."""
        if self._begun:
            return
        self._begun = True
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # trio, or another
            say(self._where, "the candidate application can only be started in an asyncio loop: its shadow is off", cause="lifespan")
            return
        running = asyncio.create_task(self._run(), name="progflags-shadow-lifespan")
        self._tasks = running, asyncio.create_task(self._start(running), name="progflags-shadow-start")

    async def _start(self, running: asyncio.Task[None]) -> None:
        around = Surroundings()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        said = await self._said(_START)
        self.ready = said != "lifespan.startup.failed"
        if self.ready:
            changed = around.changed()
            if changed:
                say(self._where, f"the candidate's start changed, for the whole process: {', '.join(changed)}", cause="surroundings")
            return
        running.cancel()
        changed = around.put_back()
        also = f"; put back what it had changed: {', '.join(changed)}" if changed else ""
        say(self._where, f"the candidate did not start: its shadow is off{also}", cause="lifespan")

    async def stop(self) -> None:
        """End it; whatever state it is in, it has two seconds."""
        if not self._tasks:
            return
        running, starting = self._tasks
        if starting.done() and not running.done() and self.ready:
            self._inbox.put_nowait({"type": "lifespan.shutdown"})
            await self._said(_STOP)
        self.ready = False
        for task in self._tasks:
            task.cancel()

    async def _said(self, seconds: float) -> str:
        try:
            return await asyncio.wait_for(self._outbox.get(), seconds)
        except TimeoutError:
            return "lifespan.startup.failed"

    async def _run(self) -> None:
        async def send(message: Message) -> None:
            self._outbox.put_nowait(message["type"])

        try:
            await self._app(self._scope, self._inbox.get, send)
        except Exception as error:  # it has no lifespan: that is how applications say so. Or it has one, and a fault in it
            if self.ready:
                swallow(f"{self._where}: lifespan", error)
        except SystemExit as error:  # what stops a candidate that lacks its settings must not stop this server
            swallow(f"{self._where}: lifespan", error)
            self._outbox.put_nowait("lifespan.startup.failed")
        self._outbox.put_nowait("none")
