"""The console: pages from the flags' data, an ASGI application around them, and who may do what there."""

from progflags._console._console import console
from progflags._console._viewer import Asked, Role, Viewer

__all__ = [
    "Asked",
    "Role",
    "Viewer",
    "console",
]
