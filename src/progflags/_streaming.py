"""
Server-sent events over ASGI: one answer that goes on for as long as somebody reads it.

What is told, and when, is the caller's; here are the beginning, the end, and the reader who is gone or does not read.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from progflags._small_asgi import Receive, Send

__all__ = ["HEADERS", "Tell", "ending", "stream"]

Tell = Callable[[bytes], Awaitable[None]]
HEADERS: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"), ("x-accel-buffering", "no"))


async def stream(
    receive: Receive, send: Send, headers: Iterable[tuple[bytes, bytes]], follow: Callable[[Tell], Awaitable[None]], *, stuck: float
) -> Exception | None:
    """
    Answer 200 with `headers`, and with whatever `follow` tells, until it returns or the reader has left.

    Returns what `follow` raised: a TimeoutError where the reader took more than `stuck` seconds for one message, for then it is
    left behind.
    """
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})

    async def tell(text: bytes) -> None:
        async with asyncio.timeout(stuck):
            await send({"type": "http.response.body", "body": text, "more_body": True})

    following = asyncio.ensure_future(follow(tell))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (following, leaving):
            task.cancel()
        why, left = await asyncio.gather(following, leaving, return_exceptions=True)
    if why is None and isinstance(left, BaseException):  # there is still somebody to be told that it is over
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return why if isinstance(why, Exception) else None


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def ending() -> bool:
    """
    Whether the server in this process was told to end.

    uvicorn waits then until every answer is whole, without a word to those who write it; what it does when a signal comes is all
    there is to see.
    """
    return getattr(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), "should_exit", False) is True
