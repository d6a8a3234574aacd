"""Whole requests in the shadow: what both middlewares share, the copy of a stream, a candidate elsewhere."""

from progflags.darklaunch.http._door import Door
from progflags.darklaunch.http._remote import Remote
from progflags.darklaunch.http._tee import Request, Tee

__all__ = [
    "Door",
    "Remote",
    "Request",
    "Tee",
]
