"""
Django: `"progflags.contrib.django"` in INSTALLED_APPS, one setting `PROGFLAGS = {"source": …}`, and the middleware.

`client()` is the connected client, the same as `pf.default()`; `request.flags` reads it. `rows` makes a dark launch's answers
comparable.
"""

from __future__ import annotations

from progflags.contrib.django._client import client
from progflags.contrib.django._rows import rows

__all__ = ["client", "rows"]
